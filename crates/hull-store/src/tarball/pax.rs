//! PAX extended headers: `LENGTH KEY=VALUE\n`, repeated.

/// What the extension records before a header say about it.
#[derive(Debug, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse_major: Option<u64>,
    pub(super) sparse_size: Option<u64>,
    pub(super) sparse_name: Option<Vec<u8>>,
    /// `offset,length,offset,length…` of version 0.1, or the pairs of 0.0.
    pub(super) sparse_map: Option<Vec<u64>>,
}

impl Pax {
    /// Takes in the records of one `x` member; the error names the wrong one.
    pub(super) fn read(&mut self, mut rest: &[u8]) -> Result<(), &'static str> {
        while !rest.is_empty() && rest[0] != 0 {
            let space = rest.iter().take(20).position(|b| *b == b' ').ok_or("PAX record")?;
            let length = number(&rest[..space]).ok_or("PAX record length")?;
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length <= space + 1 || length > rest.len() || rest[length - 1] != b'\n' {
                return Err("PAX record length");
            }
            let record = &rest[space + 1..length - 1];
            rest = &rest[length..];
            let equals = record.iter().position(|b| *b == b'=').ok_or("PAX record")?;
            self.set(&record[..equals], &record[equals + 1..])?;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        match key {
            b"path" => self.path = text(value, "PAX path")?,
            b"linkpath" => self.link = text(value, "PAX linkpath")?,
            b"size" => self.size = Some(number(value).ok_or("PAX size")?),
            b"uid" => self.uid = Some(id(value).ok_or("PAX uid")?),
            b"gid" => self.gid = Some(id(value).ok_or("PAX gid")?),
            b"mtime" => self.mtime = Some(time(value).ok_or("PAX mtime")?),
            b"GNU.sparse.major" => self.sparse_major = Some(number(value).ok_or("PAX sparse")?),
            b"GNU.sparse.name" => self.sparse_name = text(value, "PAX sparse name")?,
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => {
                self.sparse_size = Some(number(value).ok_or("PAX sparse size")?);
            }
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                let number = number(value).ok_or("PAX sparse map")?;
                self.sparse_map.get_or_insert_default().push(number);
            }
            b"GNU.sparse.map" => {
                let numbers = value.split(|b| *b == b',').filter(|n| !n.is_empty()).map(number);
                self.sparse_map = Some(numbers.collect::<Option<_>>().ok_or("PAX sparse map")?);
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    if name.is_empty() || name.contains(&0) {
                        return Err("PAX attribute name");
                    }
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// An empty value takes back what another record said.
fn text(value: &[u8], what: &'static str) -> Result<Option<Vec<u8>>, &'static str> {
    if value.contains(&0) { Err(what) } else { Ok((!value.is_empty()).then(|| value.to_vec())) }
}

pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The last id means "do not change" to the kernel, so nobody has it.
pub(super) fn id(text: &[u8]) -> Option<u32> {
    u32::try_from(number(text)?).ok().filter(|id| *id != u32::MAX)
}

/// `-12.5` is 13 seconds before 1970 and half a second more.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = if whole == "-" { 0 } else { whole.parse().ok()? };
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: u32 = digits.parse().ok()?;
    if whole.starts_with('-') && nanos > 0 {
        return Some((seconds.checked_sub(1)?, 1_000_000_000 - nanos));
    }
    Some((seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_and_after_1970() {
        assert_eq!(time(b"1.5"), Some((1, 500_000_000)));
        assert_eq!(time(b"1.0000000019"), Some((1, 1)));
        assert_eq!(time(b"-12.5"), Some((-13, 500_000_000)));
        assert_eq!(time(b"-0.5"), Some((-1, 500_000_000)));
        for bad in [&b""[..], b"x", b"1.x", b"99999999999999999999"] {
            assert_eq!(time(bad), None);
        }
    }

    #[test]
    fn records_that_lie_about_their_length_are_refused() {
        for bad in [
            "5 a=b",
            "99 path=x\n",
            "0 a=b\n",
            "7 path\n",
            "x path=a\n",
            "3 \n",
            "12345678901234567890123 a=b\n",
        ] {
            assert!(Pax::default().read(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let mut pax = Pax::default();
        pax.read(b"10 path=a\n9 uid=12\n").unwrap();
        assert_eq!((pax.path, pax.uid), (Some(b"a".to_vec()), Some(12)));
    }
}
