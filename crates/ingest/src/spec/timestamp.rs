//! `timestampSpec` (SCH-01): which field holds a row's time, and how it is written (`TimestampSpec`).

use ovate_base::time::TimestampFormat;
use ovate_base::{DruidError, Result};
use serde_json::{Value, json};

use super::fields::Fields;

/// Checked `timestampSpec`.
#[derive(Debug, Clone)]
pub struct TimestampSpec {
    pub column: String,
    pub format: TimestampFormat,
    /// Time of rows without one, in milliseconds.
    pub missing_value: Option<i64>,
    format_text: String,
    missing_text: Option<String>,
}

impl TimestampSpec {
    /// Reads the spec; an absent one is Druid's default: column `timestamp`, format `auto`.
    pub fn from_json(json: Option<&Value>) -> Result<TimestampSpec> {
        let empty = json!({});
        let fields = Fields::new(json.unwrap_or(&empty), "timestampSpec")?;
        let column = fields.text("column")?.unwrap_or("timestamp").to_owned();
        let format_text = fields.text("format")?.unwrap_or("auto").to_owned();
        let missing_text = fields.text("missingValue")?.map(str::to_owned);
        fields.finish()?;
        let format = TimestampFormat::parse(&format_text)?;
        let missing_value = missing_text
            .as_deref()
            .map(|text| {
                ovate_base::time::parse_instant(text)
                    .map_err(|e| DruidError::invalid_input(format!("[missingValue] in [timestampSpec]: {e}")))
            })
            .transpose()?;
        Ok(TimestampSpec { column, format, missing_value, format_text, missing_text })
    }

    /// The form that Druid writes.
    pub fn to_json(&self) -> Value {
        json!({"column": self.column, "format": self.format_text, "missingValue": self.missing_text})
    }
}
