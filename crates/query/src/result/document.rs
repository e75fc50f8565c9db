//! Where answers are written to: JSON as Jackson prints it, or Smile. Both give what they have in pieces, so that a large
//! answer never lies in memory whole.

use base64::Engine as _;
use ovate_base::Result;
use ovate_base::smile::SmileWriter;
use ovate_compute::value::{double_to_text, float_to_text};

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultFormat {
    Json,
    Smile,
}

impl ResultFormat {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            ResultFormat::Json => "application/json",
            ResultFormat::Smile => "application/x-jackson-smile",
        }
    }
}

/// Takes finished pieces of an answer; an error ends the writing.
pub type Sink<'a> = &'a mut dyn FnMut(Vec<u8>) -> Result<()>;

/// Pieces are handed on when they are about this large.
const PIECE_BYTES: usize = 64 << 10;

/// A name with its JSON text made ready.
pub(super) struct Label {
    name: String,
    json: Vec<u8>,
}

impl Label {
    pub fn new(name: &str) -> Self {
        let mut json = serde_json::to_vec(name).expect("writing to memory cannot fail");
        json.push(b':');
        Label { name: name.to_owned(), json }
    }
}

/// One document being written. Arrays and objects are opened and closed in pairs.
pub(super) trait DocumentWriter {
    fn begin_array(&mut self);
    fn end_array(&mut self);
    fn begin_object(&mut self);
    fn end_object(&mut self);
    fn label(&mut self, label: &Label);
    fn null(&mut self);
    fn long(&mut self, value: i64);
    fn float(&mut self, value: f32);
    fn double(&mut self, value: f64);
    fn text(&mut self, text: &str);
    fn bytes(&mut self, bytes: &[u8]);
    fn json(&mut self, json: &serde_json::Value);
    /// Hands pieces on; called after every row.
    fn row_done(&mut self) -> Result<()>;
    /// Hands the rest on.
    fn finish(&mut self) -> Result<()>;

    /// A name that is not prepared.
    fn name(&mut self, name: &str) {
        self.label(&Label::new(name));
    }
}

/// Writes JSON.
pub(super) struct JsonDocument<'a> {
    out: Vec<u8>,
    /// A value stands before the next one.
    comma: bool,
    sink: Sink<'a>,
}

impl<'a> JsonDocument<'a> {
    pub fn new(sink: Sink<'a>) -> Self {
        JsonDocument { out: Vec::new(), comma: false, sink }
    }

    fn separate(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
    }

    fn begin(&mut self, bracket: u8) {
        self.separate();
        self.out.push(bracket);
        self.comma = false;
    }

    fn end(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.comma = true;
    }
}

impl DocumentWriter for JsonDocument<'_> {
    fn begin_array(&mut self) {
        self.begin(b'[');
    }
    fn end_array(&mut self) {
        self.end(b']');
    }
    fn begin_object(&mut self) {
        self.begin(b'{');
    }
    fn end_object(&mut self) {
        self.end(b'}');
    }
    fn label(&mut self, label: &Label) {
        self.separate();
        self.out.extend_from_slice(&label.json);
        self.comma = false;
    }
    fn null(&mut self) {
        self.separate();
        self.out.extend_from_slice(b"null");
    }
    fn long(&mut self, value: i64) {
        self.separate();
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
    fn float(&mut self, value: f32) {
        if !value.is_finite() {
            return self.text(&float_to_text(value));
        }
        self.separate();
        self.out.extend_from_slice(float_to_text(value).as_bytes());
    }
    /// As Java's `Double.toString` has it; NaN and infinities as texts, as Jackson writes them.
    fn double(&mut self, value: f64) {
        if !value.is_finite() {
            return self.text(&double_to_text(value));
        }
        self.separate();
        self.out.extend_from_slice(double_to_text(value).as_bytes());
    }
    fn text(&mut self, text: &str) {
        self.separate();
        serde_json::to_writer(&mut self.out, text).expect("writing to memory cannot fail");
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.text(&base64::engine::general_purpose::STANDARD.encode(bytes));
    }
    fn json(&mut self, json: &serde_json::Value) {
        self.separate();
        serde_json::to_writer(&mut self.out, json).expect("writing to memory cannot fail");
    }
    fn row_done(&mut self) -> Result<()> {
        if self.out.len() < PIECE_BYTES {
            return Ok(());
        }
        let next = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8);
        (self.sink)(std::mem::replace(&mut self.out, next))
    }
    fn finish(&mut self) -> Result<()> {
        (self.sink)(std::mem::take(&mut self.out))
    }
}

/// Writes Smile.
pub(super) struct SmileDocument<'a> {
    out: SmileWriter,
    sink: Sink<'a>,
}

impl<'a> SmileDocument<'a> {
    pub fn new(out: SmileWriter, sink: Sink<'a>) -> Self {
        SmileDocument { out, sink }
    }
}

impl DocumentWriter for SmileDocument<'_> {
    fn begin_array(&mut self) {
        self.out.begin_array();
    }
    fn end_array(&mut self) {
        self.out.end_array();
    }
    fn begin_object(&mut self) {
        self.out.begin_object();
    }
    fn end_object(&mut self) {
        self.out.end_object();
    }
    fn label(&mut self, label: &Label) {
        self.out.name(&label.name);
    }
    fn null(&mut self) {
        self.out.null();
    }
    fn long(&mut self, value: i64) {
        self.out.long(value);
    }
    fn float(&mut self, value: f32) {
        self.out.float(value);
    }
    fn double(&mut self, value: f64) {
        self.out.double(value);
    }
    fn text(&mut self, text: &str) {
        self.out.text(text);
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.out.bytes(bytes);
    }
    fn json(&mut self, json: &serde_json::Value) {
        self.out.json(json);
    }
    fn row_done(&mut self) -> Result<()> {
        if self.out.len() < PIECE_BYTES {
            return Ok(());
        }
        (self.sink)(self.out.take())
    }
    fn finish(&mut self) -> Result<()> {
        (self.sink)(self.out.take())
    }
}
