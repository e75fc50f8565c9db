//! What `/status/properties` and the log may show: values of hidden names are masked (`druid.server.hiddenProperties`,
//! CFG-11).

use std::collections::BTreeMap;

use ovate_base::{Properties, Result};

/// Druid's own default list, and words that name a secret wherever they stand.
const ALWAYS: [&str; 5] = ["password", "secret", "accesskey", "key", "pwd"];

/// All properties, with `<masked>` for those whose names contain a hidden word.
pub fn shown(properties: &Properties) -> Result<BTreeMap<String, String>> {
    let mut words = properties.list("druid.server.hiddenProperties")?;
    words.extend(properties.list("druid.startup.logging.maskProperties")?);
    words.iter_mut().for_each(|word| *word = word.to_lowercase());
    words.retain(|word| !word.is_empty());
    let hidden = |name: &str| {
        let name = name.to_lowercase();
        ALWAYS.iter().any(|word| name.contains(word)) || words.iter().any(|word| name.contains(word.as_str()))
    };
    // The list of hidden names is no secret, though its own values look like some.
    let mask = |(name, value): (&str, &str)| {
        (name.to_owned(), if hidden(name) && !name.ends_with("Properties") { "<masked>".to_owned() } else { value.to_owned() })
    };
    Ok(properties.iter().map(mask).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_whatever_the_list_says_and_listed_words_besides() {
        let text =
            "druid.s3.secretKey=a\ndruid.zk.service.pwd=b\nmy.token=c\ndruid.host=d\ndruid.server.hiddenProperties=[\"TOKEN\"]";
        let shown = shown(&Properties::parse(text).unwrap()).unwrap();
        let masked: Vec<&str> = shown.iter().filter(|(_, v)| *v == "<masked>").map(|(n, _)| n.as_str()).collect();
        assert_eq!(masked, ["druid.s3.secretKey", "druid.zk.service.pwd", "my.token"]);
    }
}
