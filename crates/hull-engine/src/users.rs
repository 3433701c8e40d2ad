//! Which user namespace a guest gets. Pure.

use hull_model::guest::GuestSpec;
use hull_model::id_range::{IdRange, Kept};
use hull_model::namespace::{HostUser, Users, UsersDefault};

use crate::error::{Error, Kind, Result};
use crate::partners::Ids;

/// Why the guest of `spec` gets the host's user namespace, if it does: what it asks for, the daemon's
/// `default`, or that owners of files are `unmappable` here.
pub(crate) fn host_user(
    spec: &GuestSpec,
    default: UsersDefault,
    unmappable: Option<&str>,
) -> Result<Option<HostUser>> {
    let reason = spec.namespaces.host_user_reason(&spec.security);
    match (&spec.namespaces.user, unmappable) {
        _ if reason.is_some() => Ok(reason),
        (Users::Default, _) if default == UsersDefault::Host => Ok(Some(HostUser::Daemon)),
        (Users::Default, Some(_)) => Ok(Some(HostUser::Unmappable)),
        (Users::Auto { .. } | Users::KeepId(_), Some(why)) => Err(Error::new(
            Kind::Invalid,
            format!("not supported by this kernel: a user namespace for a container: {why}"),
        )),
        _ => Ok(None),
    }
}

/// What a guest gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Given {
    /// The host's.
    Host(HostUser),
    /// The one its partners are in.
    Partners(IdRange),
    /// One of its own.
    Own {
        /// With so many ids, if somebody asked for a number.
        size: Option<u32>,
        /// With this user of the host.
        kept: Option<Kept>,
    },
}

/// Decides by what was `asked`, what switches the guest's own one off (`reason`), and where the
/// guests are whose namespaces it shares.
///
/// Power over the host is also power over everything its partners own, so a guest that needs it
/// joins them from the host's user namespace.
pub(crate) fn choose(asked: &Users, reason: Option<HostUser>, partners: Ids) -> Result<Given> {
    let own = |size, kept| match partners {
        Ids::Own => Ok(Given::Own { size, kept }),
        Ids::Shared(_) | Ids::Host => Err(Error::new(
            Kind::Invalid,
            "a user namespace of its own was asked for, but the containers whose namespaces are to \
             be shared have another one; hint: leave --userns out",
        )),
    };
    match (asked, reason, partners) {
        (Users::Auto { size }, ..) => own(Some(*size), None),
        (Users::KeepId(kept), ..) => own(None, Some(*kept)),
        (_, Some(reason), _) => Ok(Given::Host(reason)),
        (_, None, Ids::Host) => Ok(Given::Host(HostUser::Partner)),
        (_, None, Ids::Shared(range)) => Ok(Given::Partners(range)),
        (_, None, Ids::Own) => Ok(Given::Own { size: None, kept: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_the_host_has_it_and_who_shares_has_the_partners() {
        let range = IdRange::new(100_000, 65_536);
        let own = Given::Own { size: None, kept: None };
        let other = || Users::Guest("other".to_owned());
        let auto = Users::Auto { size: 10 };
        let say = |asked: &Users, reason, partners| choose(asked, reason, partners).ok();
        let privileged = Some(HostUser::Privileged);
        for (asked, reason, partners, given) in [
            (Users::Default, None, Ids::Own, Some(own)),
            (Users::Default, None, Ids::Shared(range), Some(Given::Partners(range))),
            (Users::Default, None, Ids::Host, Some(Given::Host(HostUser::Partner))),
            (Users::Default, privileged, Ids::Own, Some(Given::Host(HostUser::Privileged))),
            (
                Users::Default,
                privileged,
                Ids::Shared(range),
                Some(Given::Host(HostUser::Privileged)),
            ),
            (other(), None, Ids::Shared(range), Some(Given::Partners(range))),
            (other(), None, Ids::Host, Some(Given::Host(HostUser::Partner))),
            (auto.clone(), None, Ids::Own, Some(Given::Own { size: Some(10), kept: None })),
            (auto.clone(), None, Ids::Shared(range), None),
            (auto, None, Ids::Host, None),
        ] {
            assert_eq!(say(&asked, reason, partners), given, "{asked:?} {reason:?} {partners:?}");
        }
    }

    #[test]
    fn where_owners_cannot_be_mapped_guests_run_as_with_docker() {
        let say = |user: Users, default, unmappable| {
            let mut spec = GuestSpec::default();
            spec.namespaces.user = user;
            host_user(&spec, default, unmappable).map_err(|error| error.to_string())
        };
        let (own, why) = (UsersDefault::Own, Some("it is old"));
        assert_eq!(say(Users::Default, own, None), Ok(None));
        assert_eq!(say(Users::Default, own, why), Ok(Some(HostUser::Unmappable)));
        assert_eq!(say(Users::Host, own, why), Ok(Some(HostUser::Asked)));
        assert_eq!(say(Users::Default, UsersDefault::Host, why), Ok(Some(HostUser::Daemon)));
        assert_eq!(say(Users::Auto { size: 1 }, UsersDefault::Host, None), Ok(None));
        let refused = say(Users::Auto { size: 1 }, own, why).unwrap_err();
        assert!(refused.starts_with("not supported by this kernel: "), "{refused}");
        assert!(refused.ends_with("it is old"), "{refused}");
    }
}
