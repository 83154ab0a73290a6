//! As much of JSON as bindings/abi.json has in it. The file is our own, so what is not JSON ends the build.

pub enum Value {
    Number(String),
    Text(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl Value {
    pub fn get(&self, key: &str) -> &Value {
        match self {
            Value::Object(members) => {
                &members.iter().find(|member| member.0 == key).unwrap_or_else(|| panic!("no key {}", key)).1
            }
            _ => panic!("no object around {}", key),
        }
    }
    pub fn list(&self) -> &[Value] {
        match self {
            Value::List(items) => items,
            _ => panic!("not a list"),
        }
    }
    pub fn text(&self) -> &str {
        match self {
            Value::Text(text) => text,
            _ => panic!("not a text"),
        }
    }
    /// As it is written, since u64 and i64 both occur.
    pub fn literal(&self) -> &str {
        match self {
            Value::Number(digits) => digits,
            _ => panic!("not a number"),
        }
    }
    pub fn number(&self) -> u64 {
        self.literal().parse().unwrap()
    }
}

pub fn parse(text: &str) -> Value {
    let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
    let value = reader.value();
    assert_eq!(reader.peek(), 0, "something behind the end");
    value
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// The next byte that is no blank; 0 at the end.
    fn peek(&mut self) -> u8 {
        while self.at < self.bytes.len() && self.bytes[self.at].is_ascii_whitespace() {
            self.at += 1;
        }
        *self.bytes.get(self.at).unwrap_or(&0)
    }
    fn take(&mut self, expected: u8) {
        assert_eq!(self.peek() as char, expected as char, "at byte {}", self.at);
        self.at += 1;
    }
    /// Whether another item follows; takes the comma or the closing bracket.
    fn more(&mut self, close: u8) -> bool {
        let comma = self.peek() == b',';
        self.take(if comma { b',' } else { close });
        comma
    }
    fn value(&mut self) -> Value {
        match self.peek() {
            b'{' => Value::Object(self.items(b'{', b'}', |reader| {
                let key = reader.string();
                reader.take(b':');
                (key, reader.value())
            })),
            b'[' => Value::List(self.items(b'[', b']', Reader::value)),
            b'"' => Value::Text(self.string()),
            _ => self.digits(),
        }
    }
    fn items<T>(&mut self, open: u8, close: u8, one: fn(&mut Self) -> T) -> Vec<T> {
        let mut items = Vec::new();
        self.take(open);
        if self.peek() == close {
            self.at += 1;
            return items;
        }
        loop {
            items.push(one(self));
            if !self.more(close) {
                return items;
            }
        }
    }
    fn string(&mut self) -> String {
        self.take(b'"');
        let begin = self.at;
        while self.bytes[self.at] != b'"' {
            assert_ne!(self.bytes[self.at], b'\\', "an escape, which the description has no need of");
            self.at += 1;
        }
        self.at += 1;
        String::from_utf8(self.bytes[begin..self.at - 1].to_vec()).unwrap()
    }
    fn digits(&mut self) -> Value {
        let begin = self.at;
        while self.at < self.bytes.len() && matches!(self.bytes[self.at], b'-' | b'0'..=b'9') {
            self.at += 1;
        }
        assert_ne!(begin, self.at, "no value at byte {}", begin);
        Value::Number(String::from_utf8(self.bytes[begin..self.at].to_vec()).unwrap())
    }
}
