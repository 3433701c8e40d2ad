//! D-Bus messages, as far as asking systemd for a unit needs them: written, and answers read.
//!
//! "D-Bus Specification", marshaling. Little-endian; what is longer than [`LENGTH_MAX`] is refused.

use super::bus::BusError;

/// The longest answer that is read: an error's text, or a path.
pub(super) const LENGTH_MAX: usize = 1 << 20;
/// The fixed beginning of a message.
pub(super) const HEAD: usize = 16;

/// The value of a property.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Flag(bool),
    Number(u64),
    Numbers(Vec<u32>),
    Bits(Vec<u8>),
}

/// The arguments of a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Body {
    signature: String,
    out: Writer,
}

impl Body {
    pub(super) fn text(mut self, text: &str) -> Self {
        self.signature.push('s');
        self.out.text(text);
        self
    }

    pub(super) fn flag(mut self, flag: bool) -> Self {
        self.signature.push('b');
        self.out.number32(flag.into());
        self
    }

    pub(super) fn properties(mut self, all: &[(&str, Value)]) -> Self {
        self.signature.push_str("a(sv)");
        self.out.array(8, |out| {
            for (name, value) in all {
                out.align(8);
                out.text(name);
                out.variant(value);
            }
        });
        self
    }

    /// The auxiliary units of `StartTransientUnit`, which nobody uses.
    pub(super) fn no_units(mut self) -> Self {
        self.signature.push_str("a(sa(sv))");
        self.out.array(8, |_| {});
        self
    }
}

/// What to call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
}

/// A method call.
pub(super) fn call(serial: u32, target: &Target<'_>, body: &Body) -> Result<Vec<u8>, BusError> {
    let mut out = Writer::default();
    // Little-endian, a call, no flags, protocol 1.
    out.0.extend([b'l', 1, 0, 1]);
    out.number32(length(body.out.0.len())?);
    out.number32(serial);
    out.array(8, |out| {
        for (code, kind, text) in [
            (1, "o", target.path),
            (2, "s", target.interface),
            (3, "s", target.member),
            (6, "s", target.destination),
        ] {
            out.align(8);
            out.0.push(code);
            out.signature(kind);
            out.text(text);
        }
        if !body.signature.is_empty() {
            out.align(8);
            out.0.push(8);
            out.signature("g");
            out.signature(&body.signature);
        }
    });
    out.align(8);
    out.0.extend(&body.out.0);
    length(out.0.len())?;
    Ok(out.0)
}

fn length(bytes: usize) -> Result<u32, BusError> {
    let short = u32::try_from(bytes).ok().filter(|_| bytes <= LENGTH_MAX);
    short.ok_or(BusError::Nonsense("a message that is too long"))
}

#[derive(Clone, Debug, Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number32(&mut self, number: u32) {
        self.align(4);
        self.0.extend(number.to_le_bytes());
    }

    /// Lengths are bounded by [`call`], which refuses what does not fit.
    fn text(&mut self, text: &str) {
        self.number32(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, signature: &str) {
        self.0.push(u8::try_from(signature.len()).unwrap_or(u8::MAX));
        self.0.extend(signature.as_bytes());
        self.0.push(0);
    }

    fn array(&mut self, alignment: usize, elements: impl FnOnce(&mut Self)) {
        self.number32(0);
        let at = self.0.len() - 4;
        self.align(alignment);
        let start = self.0.len();
        elements(self);
        let length = u32::try_from(self.0.len() - start).unwrap_or(u32::MAX);
        self.0[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }

    fn variant(&mut self, value: &Value) {
        match value {
            Value::Text(text) => {
                self.signature("s");
                self.text(text);
            }
            Value::Flag(flag) => {
                self.signature("b");
                self.number32((*flag).into());
            }
            Value::Number(number) => {
                self.signature("t");
                self.align(8);
                self.0.extend(number.to_le_bytes());
            }
            Value::Numbers(numbers) => {
                self.signature("au");
                self.array(4, |out| numbers.iter().for_each(|number| out.number32(*number)));
            }
            Value::Bits(bytes) => {
                self.signature("ay");
                self.array(1, |out| out.0.extend(bytes));
            }
        }
    }
}

/// What came back.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Incoming {
    /// The call with this serial was carried out.
    Return(u32),
    /// It was refused: the error's name and text.
    Error(u32, String, String),
    /// Something for somebody else.
    Other,
}

/// How long the message is that begins with `head`, all of it.
pub(super) fn full_length(head: [u8; HEAD]) -> Result<usize, BusError> {
    if head[0] != b'l' || head[3] != 1 {
        return Err(BusError::Nonsense("a message of another byte order or protocol"));
    }
    let mut reader = Reader { bytes: &head, at: 4 };
    let (body, _serial, fields) = (reader.size()?, reader.number32()?, reader.size()?);
    let sum = (HEAD + fields).next_multiple_of(8) + body;
    if sum > LENGTH_MAX {
        return Err(BusError::Nonsense("a message that is too long"));
    }
    Ok(sum)
}

/// Reads a whole message.
pub(super) fn read(bytes: &[u8]) -> Result<Incoming, BusError> {
    let kind = bytes.get(1).copied().unwrap_or(0);
    let mut reader = Reader { bytes, at: HEAD - 4 };
    let fields = reader.size()?;
    let end = HEAD + fields;
    let (mut serial, mut name, mut signature) = (None, String::new(), String::new());
    while reader.at < end {
        reader.align(8);
        let code = reader.byte()?;
        match reader.signature()?.as_str() {
            "s" | "o" => {
                let text = reader.text()?;
                if code == 4 {
                    name = text;
                }
            }
            "g" => signature = reader.signature()?,
            "u" => {
                let number = reader.number32()?;
                if code == 5 {
                    serial = Some(number);
                }
            }
            _ => return Err(BusError::Nonsense("a header field of an unknown type")),
        }
    }
    match (kind, serial) {
        (2, Some(serial)) => Ok(Incoming::Return(serial)),
        (3, Some(serial)) => {
            reader.align(8);
            let text = if signature.starts_with('s') { reader.text()? } else { String::new() };
            Ok(Incoming::Error(serial, name, text))
        }
        _ => Ok(Incoming::Other),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Result<&[u8], BusError> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        self.at = self.at.saturating_add(count);
        taken.ok_or(BusError::Nonsense("a message that ends too early"))
    }

    fn byte(&mut self) -> Result<u8, BusError> {
        Ok(self.take(1)?[0])
    }

    fn number32(&mut self) -> Result<u32, BusError> {
        self.align(4);
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(bytes))
    }

    fn size(&mut self) -> Result<usize, BusError> {
        let size = usize::try_from(self.number32()?).unwrap_or(usize::MAX);
        if size > LENGTH_MAX {
            return Err(BusError::Nonsense("a length that is too long"));
        }
        Ok(size)
    }

    fn text(&mut self) -> Result<String, BusError> {
        let length = self.size()?;
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.byte()?;
        Ok(text)
    }

    fn signature(&mut self) -> Result<String, BusError> {
        let length = usize::from(self.byte()?);
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.byte()?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: Target<'static> = Target {
        destination: "org.freedesktop.DBus",
        path: "/org/freedesktop/DBus",
        interface: "org.freedesktop.DBus",
        member: "Hello",
    };

    /// As `dbus-send` and its like write it (checked once against a bus).
    #[test]
    fn a_call_is_laid_out_as_the_specification_says() {
        let bytes = call(1, &HELLO, &Body::default()).unwrap();
        assert_eq!(&bytes[..16], b"l\x01\x00\x01\0\0\0\0\x01\0\0\0\x6d\0\0\0");
        assert_eq!(&bytes[16..24], b"\x01\x01o\0\x15\0\0\0");
        assert_eq!(bytes.len(), 128);
        assert_eq!(full_length(bytes[..16].try_into().unwrap()).unwrap(), 128);
    }

    #[test]
    fn values_are_aligned() {
        let body = Body::default().text("u").properties(&[
            ("A", Value::Number(5)),
            ("B", Value::Numbers(vec![1, 2])),
            ("C", Value::Bits(vec![3])),
            ("D", Value::Flag(true)),
            ("E", Value::Text("x".to_owned())),
        ]);
        assert_eq!(body.signature, "sa(sv)");
        let expected: &[u8] = &[
            1, 0, 0, 0, b'u', 0, 0, 0, // "u", padded
            92, 0, 0, 0, 0, 0, 0, 0, // length of the array, padded to a structure
            1, 0, 0, 0, b'A', 0, 1, b't', 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, //
            1, 0, 0, 0, b'B', 0, 2, b'a', b'u', 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0,
            0, //
            1, 0, 0, 0, b'C', 0, 2, b'a', b'y', 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0,
            0, //
            1, 0, 0, 0, b'D', 0, 1, b'b', 0, 0, 0, 0, 1, 0, 0, 0, //
            1, 0, 0, 0, b'E', 0, 1, b's', 0, 0, 0, 0, 1, 0, 0, 0, b'x', 0,
        ];
        let mut expected = expected.to_vec();
        // What the parts above add up to.
        let length = u32::try_from(expected.len() - 16).unwrap();
        expected[8..12].copy_from_slice(&length.to_le_bytes());
        assert_eq!(body.out.0, expected);
    }

    fn answer(kind: u8, body: &Body, fields: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut out = Writer::default();
        out.0.extend([b'l', kind, 0, 1]);
        out.number32(u32::try_from(body.out.0.len()).unwrap());
        out.number32(9);
        out.array(8, fields);
        out.align(8);
        out.0.extend(&body.out.0);
        out.0
    }

    fn reply_to(out: &mut Writer, serial: u32) {
        out.align(8);
        out.0.push(5);
        out.signature("u");
        out.number32(serial);
    }

    #[test]
    fn answers_are_read() {
        let ok = answer(2, &Body::default(), |out| reply_to(out, 7));
        assert_eq!(read(&ok).unwrap(), Incoming::Return(7));
        let bad = answer(3, &Body::default().text("no"), |out| {
            out.0.push(4);
            out.signature("s");
            out.text("a.b.C");
            reply_to(out, 7);
            out.align(8);
            out.0.push(8);
            out.signature("g");
            out.signature("s");
        });
        assert_eq!(read(&bad).unwrap(), Incoming::Error(7, "a.b.C".into(), "no".into()));
        let signal = answer(4, &Body::default(), |_| {});
        assert_eq!(read(&signal).unwrap(), Incoming::Other);
        for cut in 0..bad.len() {
            // Never a panic, whatever is missing.
            read(&bad[..cut]).ok();
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let mut head: [u8; HEAD] = *b"l\x02\x00\x01\0\0\0\0\x01\0\0\0\0\0\0\0";
        assert_eq!(full_length(head).unwrap(), HEAD);
        head[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(full_length(head).is_err());
        head[0] = b'B';
        assert!(full_length(head).is_err());
    }
}
