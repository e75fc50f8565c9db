//! JSONPath as flattenSpec has it (Jayway's): a definite path gives one value, an indefinite one a list; a function may
//! stand at the end. Also the part of `jq` that is no more than a path.

use std::borrow::Cow;

use ovate_base::{DruidError, Result};
use serde_json::Value as Json;
use serde_json_path::JsonPath;

/// A parsed path.
#[derive(Debug, Clone)]
pub struct Path {
    select: Select,
    function: Option<Function>,
}

#[derive(Debug, Clone)]
enum Select {
    /// Names and positions only.
    Definite(Vec<Step>),
    /// Anything that may select several values.
    Indefinite(Box<JsonPath>),
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Name(String),
    /// Negative counts from the end.
    Index(i64),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Function {
    Length,
    Min,
    Max,
    Sum,
    Avg,
    StdDev,
    Keys,
    First,
    Last,
}

impl Path {
    /// Parses a JSONPath.
    pub fn parse(text: &str) -> Result<Path> {
        let bad = |why: &str| DruidError::invalid_input(format!("JSONPath [{text}] {why}"));
        let (body, function) = match text.trim().strip_suffix("()").and_then(|head| head.rsplit_once('.')) {
            Some((head, name)) => (head, Some(function(name).ok_or_else(|| bad(&format!("has unknown function [{name}]")))?)),
            None => (text.trim(), None),
        };
        let rest = body.strip_prefix('$').ok_or_else(|| bad("must start with $"))?;
        let select = match steps(rest) {
            Some(steps) => Select::Definite(steps),
            None => Select::Indefinite(Box::new(JsonPath::parse(body).map_err(|e| bad(&format!("cannot be parsed: {e}")))?)),
        };
        Ok(Path { select, function })
    }

    /// Parses a `jq` expression that names one value: `.`, `.a.b`, `."a"`, `.a[0]`, `.["a"]`.
    pub fn parse_jq(text: &str) -> Result<Path> {
        let unsupported =
            || DruidError::unsupported(format!("jq expression [{text}] is more than a path, which is not supported"));
        let body = text.trim();
        let rest = body.strip_prefix('.').ok_or_else(unsupported)?;
        let rest = if rest.is_empty() || rest.starts_with('[') { rest.to_owned() } else { format!(".{rest}") };
        let steps = steps(&rest).ok_or_else(unsupported)?;
        Ok(Path { select: Select::Definite(steps), function: None })
    }

    /// The value in a record; `None` when there is none.
    pub fn find<'a>(&self, json: &'a Json) -> Option<Cow<'a, Json>> {
        let found = match &self.select {
            Select::Definite(steps) => Cow::Borrowed(walk(json, steps)?),
            Select::Indefinite(path) => Cow::Owned(Json::Array(path.query(json).all().into_iter().cloned().collect())),
        };
        match self.function {
            None => Some(found),
            Some(function) => apply(function, &found).map(Cow::Owned),
        }
    }
}

fn function(name: &str) -> Option<Function> {
    Some(match name {
        "length" | "size" => Function::Length,
        "min" => Function::Min,
        "max" => Function::Max,
        "sum" => Function::Sum,
        "avg" => Function::Avg,
        "stddev" => Function::StdDev,
        "keys" => Function::Keys,
        "first" => Function::First,
        "last" => Function::Last,
        _ => return None,
    })
}

/// Steps of a definite path, `None` when it is none.
fn steps(mut rest: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('.') {
            if let Some(quoted) = tail.strip_prefix('"') {
                let (name, after) = quoted.split_once('"')?;
                steps.push(Step::Name(name.to_owned()));
                rest = after;
                continue;
            }
            let end = tail.find(['.', '[']).unwrap_or(tail.len());
            let name = &tail[..end];
            if name.is_empty() || name.contains(['*', '(', ')', '?', '|', ' ', ',']) {
                return if tail.is_empty() && steps.is_empty() { Some(steps) } else { None };
            }
            steps.push(Step::Name(name.to_owned()));
            rest = &tail[end..];
        } else {
            let tail = rest.strip_prefix('[')?;
            let quote = tail.chars().next()?;
            if quote == '\'' || quote == '"' {
                let (name, after) = tail[1..].split_once(quote)?;
                steps.push(Step::Name(name.to_owned()));
                rest = after.strip_prefix(']')?;
            } else {
                let (index, after) = tail.split_once(']')?;
                steps.push(Step::Index(index.trim().parse().ok()?));
                rest = after;
            }
        }
    }
    Some(steps)
}

fn walk<'a>(json: &'a Json, steps: &[Step]) -> Option<&'a Json> {
    steps.iter().try_fold(json, |at, step| match step {
        Step::Name(name) => at.get(name.as_str()),
        Step::Index(index) if *index >= 0 => at.get(*index as usize),
        Step::Index(index) => {
            let list = at.as_array()?;
            list.get(list.len().checked_sub(index.unsigned_abs() as usize)?)
        }
    })
}

fn apply(function: Function, json: &Json) -> Option<Json> {
    let numbers = || -> Option<Vec<f64>> {
        let list: Vec<f64> = json.as_array()?.iter().filter_map(Json::as_f64).collect();
        (!list.is_empty()).then_some(list)
    };
    let number = |value: f64| serde_json::Number::from_f64(value).map(Json::Number);
    match function {
        Function::Length => match json {
            Json::Array(list) => Some(Json::from(list.len())),
            Json::Object(map) => Some(Json::from(map.len())),
            _ => None,
        },
        Function::Min => number(numbers()?.into_iter().fold(f64::INFINITY, f64::min)),
        Function::Max => number(numbers()?.into_iter().fold(f64::NEG_INFINITY, f64::max)),
        Function::Sum => number(numbers()?.iter().sum()),
        Function::Avg => numbers().and_then(|n| number(n.iter().sum::<f64>() / n.len() as f64)),
        Function::StdDev => {
            let n = numbers()?;
            let (sum, squares) = n.iter().fold((0.0, 0.0), |(s, q), v| (s + v, q + v * v));
            let count = n.len() as f64;
            number((squares / count - sum * sum / count / count).max(0.0).sqrt())
        }
        Function::Keys => json.as_object().map(|map| Json::Array(map.keys().map(|k| Json::from(k.as_str())).collect())),
        Function::First => json.as_array()?.first().cloned(),
        Function::Last => json.as_array()?.last().cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn find(path: &str) -> Option<Json> {
        let json = json!({"a": {"b": [1, 2, {"c": "x"}]}, "d.e": 5, "n": [3, 1, 2]});
        Path::parse(path).unwrap().find(&json).map(Cow::into_owned)
    }

    #[test]
    fn paths_find_values() {
        assert_eq!(find("$.a.b[0]"), Some(json!(1)));
        assert_eq!(find("$.a.b[-1].c"), Some(json!("x")));
        assert_eq!(find("$['d.e']"), Some(json!(5)));
        assert_eq!(find("$.a.x"), None);
        assert_eq!(find("$.n[*]"), Some(json!([3, 1, 2])));
        assert_eq!(find("$..c"), Some(json!(["x"])));
        assert_eq!(find("$.n.length()"), Some(json!(3)));
        assert_eq!(find("$.n.min()"), Some(json!(1.0)));
        assert_eq!(find("$.n.sum()"), Some(json!(6.0)));
        assert!(Path::parse("a.b").is_err());
        assert!(Path::parse("$.n.median()").unwrap_err().message.contains("median"));
    }

    #[test]
    fn jq_is_only_paths() {
        let json = json!({"c1": {"a_obj": {"x": 1}}, "c2": {"a": [7]}});
        assert_eq!(Path::parse_jq(".c1.a_obj").unwrap().find(&json).map(Cow::into_owned), Some(json!({"x": 1})));
        assert_eq!(Path::parse_jq(".c2.a[0]").unwrap().find(&json).map(Cow::into_owned), Some(json!(7)));
        assert_eq!(Path::parse_jq(".").unwrap().find(&json).map(Cow::into_owned), Some(json.clone()));
        assert!(Path::parse_jq(".c1 | length").is_err());
    }
}
