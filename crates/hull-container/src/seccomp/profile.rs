//! A profile's JSON, and what of it holds for one process on one host.

use std::collections::BTreeMap;

use hull_model::security::CAPABILITIES;
use serde::Deserialize;

use super::ProfileError;
use super::architecture::Architecture;
use crate::plan::Listener;

/// What conditions in profiles are about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Host {
    /// The kernel's version, major and minor.
    pub kernel: (u32, u32),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Profile {
    default_action: String,
    default_errno_ret: Option<u16>,
    #[serde(default)]
    arch_map: Option<Vec<ArchMap>>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(default)]
    flags: Option<Vec<String>>,
    #[serde(default)]
    syscalls: Option<Vec<Rule>>,
    listener_path: Option<String>,
    listener_metadata: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    name: Option<String>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(default)]
    args: Option<Vec<Arg>>,
    #[serde(default)]
    includes: Option<Condition>,
    #[serde(default)]
    excludes: Option<Condition>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arg {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// A profile with all conditions decided: what the assembler needs.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) default: u32,
    pub(super) flags: u32,
    pub(super) tables: Vec<Table>,
    pub(super) listener: Option<Listener>,
}

/// The rules of one architecture.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) architecture: Architecture,
    pub(super) calls: BTreeMap<u32, Call>,
}

/// What happens to one system call.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Call {
    /// Tried in order; a rule's tests must all hold.
    pub(super) rules: Vec<(Vec<Test>, u32)>,
    /// When none matches; `None` is the filter's default.
    pub(super) otherwise: Option<u32>,
}

/// A test of one argument.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Test {
    pub(super) index: u8,
    pub(super) compare: Compare,
}

/// Comparisons of 64-bit arguments, unsigned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Compare {
    Equal(u64),
    NotEqual(u64),
    Greater(u64),
    AtLeast(u64),
    Less(u64),
    AtMost(u64),
    Masked { mask: u64, value: u64 },
}

/// `EPERM`, libseccomp's and Docker's errno where a profile names none.
const EPERM: u16 = 1;
/// `SECCOMP_RET_USER_NOTIF` of `linux/seccomp.h`.
const NOTIFY: u32 = 0x7fc0_0000;

impl Profile {
    pub(super) fn resolve(&self, capabilities: u64, host: &Host) -> Result<Filter, ProfileError> {
        let default = action(&self.default_action, self.default_errno_ret.or(Some(EPERM)))?;
        let native = Architecture::NATIVE
            .ok_or_else(|| unusable("this program has no tables for its own architecture"))?;
        let mut tables: Vec<Table> = self
            .architectures(native)?
            .into_iter()
            .map(|architecture| Table { architecture, calls: BTreeMap::new() })
            .collect();
        for rule in self.syscalls.iter().flatten() {
            if rule.applies(capabilities, native, host)? {
                rule.enter(&mut tables, self.default_errno_ret)?;
            }
        }
        Ok(Filter { default, flags: self.flags()?, tables, listener: self.listener()? })
    }

    fn architectures(&self, native: Architecture) -> Result<Vec<Architecture>, ProfileError> {
        let listed = self.architectures.as_deref().unwrap_or_default();
        let mapped = self.arch_map.as_deref().unwrap_or_default();
        if !listed.is_empty() && !mapped.is_empty() {
            return Err(unusable(
                "use either 'architectures' or 'archMap' in a seccomp profile, not both",
            ));
        }
        let own =
            mapped.iter().find(|map| Architecture::from_name(&map.architecture) == Some(native));
        let subs = own.and_then(|map| map.sub_architectures.as_deref()).unwrap_or_default();
        // Only what this machine can execute: others' numbers can never reach the filter.
        let arm = |one| one == Architecture::Aarch64;
        let runs = |one: &Architecture| arm(*one) == arm(native);
        let mut all = vec![native];
        let named = listed.iter().chain(subs).filter_map(|name| Architecture::from_name(name));
        for one in named.filter(runs) {
            if !all.contains(&one) {
                all.push(one);
            }
        }
        Ok(all)
    }

    /// The agent; an action that waits for one makes no sense without.
    fn listener(&self) -> Result<Option<Listener>, ProfileError> {
        let rules = self.syscalls.iter().flatten().map(|rule| rule.action.as_str());
        let waits = rules.chain([self.default_action.as_str()]).any(|one| one == "SCMP_ACT_NOTIFY");
        match (&self.listener_path, waits) {
            (Some(path), true) if !path.is_empty() => {
                let metadata = self.listener_metadata.clone().unwrap_or_default();
                Ok(Some(Listener { path: path.into(), metadata }))
            }
            (_, true) => Err(unusable("SCMP_ACT_NOTIFY needs a listenerPath")),
            (_, false) => Ok(None),
        }
    }

    fn flags(&self) -> Result<u32, ProfileError> {
        let mut flags = 0;
        for name in self.flags.iter().flatten() {
            flags |= match name.as_str() {
                // For threads; the process has one when the filter is installed.
                "SECCOMP_FILTER_FLAG_TSYNC" => 0,
                "SECCOMP_FILTER_FLAG_LOG" => 2,
                "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => 4,
                // Means something only together with a listener, and is refused without one.
                "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" if self.listener()?.is_some() => 32,
                "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => 0,
                other => return Err(unusable(format!("unknown flag {other:?}"))),
            };
        }
        Ok(flags)
    }
}

impl Rule {
    fn applies(
        &self,
        capabilities: u64,
        native: Architecture,
        host: &Host,
    ) -> Result<bool, ProfileError> {
        let has = |name: &String| {
            let number =
                CAPABILITIES.iter().position(|known| name.strip_prefix("CAP_") == Some(*known));
            number.is_some_and(|number| capabilities & (1 << number) != 0)
        };
        let is_native = |name: &String| name == native.docker_name();
        if let Some(Condition { caps, arches, min_kernel }) = &self.excludes {
            let kernel = min_kernel.as_deref().map(version).transpose()?;
            if caps.iter().flatten().any(has)
                || arches.iter().flatten().any(is_native)
                || kernel.is_some_and(|least| host.kernel >= least)
            {
                return Ok(false);
            }
        }
        let Some(Condition { caps, arches, min_kernel }) = &self.includes else { return Ok(true) };
        let kernel = min_kernel.as_deref().map(version).transpose()?;
        let arches = arches.as_deref().unwrap_or_default();
        Ok(caps.iter().flatten().all(has)
            && (arches.is_empty() || arches.iter().any(is_native))
            && kernel.is_none_or(|least| host.kernel >= least))
    }

    fn enter(&self, tables: &mut [Table], default_errno: Option<u16>) -> Result<(), ProfileError> {
        let action = action(&self.action, self.errno_ret.or(default_errno).or(Some(EPERM)))?;
        let tests: Vec<Test> =
            self.args.iter().flatten().map(Arg::test).collect::<Result<_, _>>()?;
        // Several tests of one argument are alternatives, as in runc (`seccomp_linux.go`).
        let mut seen = [false; 6];
        let repeated =
            tests.iter().any(|test| std::mem::replace(&mut seen[usize::from(test.index)], true));
        let rules: Vec<Vec<Test>> =
            if repeated { tests.iter().map(|test| vec![*test]).collect() } else { vec![tests] };
        for table in tables {
            for name in self.names.iter().flatten().chain(&self.name) {
                // Names of other architectures and of the future are in every profile.
                let Some(number) = table.architecture.number(name) else { continue };
                let call = table.calls.entry(number).or_default();
                for tests in &rules {
                    if tests.is_empty() {
                        call.otherwise.get_or_insert(action);
                    } else {
                        call.rules.push((tests.clone(), action));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Arg {
    fn test(&self) -> Result<Test, ProfileError> {
        let compare = match self.op.as_str() {
            "SCMP_CMP_EQ" => Compare::Equal(self.value),
            "SCMP_CMP_NE" => Compare::NotEqual(self.value),
            "SCMP_CMP_GT" => Compare::Greater(self.value),
            "SCMP_CMP_GE" => Compare::AtLeast(self.value),
            "SCMP_CMP_LT" => Compare::Less(self.value),
            "SCMP_CMP_LE" => Compare::AtMost(self.value),
            "SCMP_CMP_MASKED_EQ" => Compare::Masked { mask: self.value, value: self.value_two },
            other => return Err(unusable(format!("unknown comparison {other:?}"))),
        };
        if self.index > 5 {
            return Err(unusable(format!("system calls have no argument {}", self.index)));
        }
        Ok(Test { index: self.index, compare })
    }
}

/// The kernel's number for an action (`linux/seccomp.h`).
fn action(name: &str, errno: Option<u16>) -> Result<u32, ProfileError> {
    let errno = u32::from(errno.unwrap_or(EPERM));
    Ok(match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_ERRNO" => 0x0005_0000 | errno,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | errno,
        "SCMP_ACT_NOTIFY" => NOTIFY,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        other => return Err(unusable(format!("unknown or unsupported action {other:?}"))),
    })
}

fn version(text: &str) -> Result<(u32, u32), ProfileError> {
    let bad = || unusable(format!("invalid minKernel {text:?}"));
    let (major, minor) = text.split_once('.').ok_or_else(bad)?;
    let number = |text: &str| text.parse().map_err(|_not_a_number| bad());
    Ok((number(major)?, number(minor)?))
}

fn unusable(why: impl Into<String>) -> ProfileError {
    ProfileError::Unusable(why.into())
}
