//! Statements of the documentation with words taken out, doubled, swapped and mixed: each is answered, by rows or by an error,
//! and by both in the same way when it is asked again (the second time with the plan kept).

use crate::docs::statements;
use crate::support::Server;

/// Statements tried; `OVATE_MUTATIONS` asks for more.
const COUNT: usize = 1500;
const SEED: u64 = 0x6f76_6174_6501;

/// xorshift64*.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    }
}

/// Words, numbers, texts and signs, so that mutations stay close to what parses.
fn words(sql: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut quoted = false;
    for c in sql.chars() {
        let glue = |last: char| (quoted || last.is_alphanumeric() || last == '_') && (quoted || c.is_alphanumeric() || c == '_');
        match out.last_mut() {
            Some(word) if word.chars().last().is_some_and(glue) => word.push(c),
            _ => out.push(c.to_string()),
        }
        if c == '\'' {
            quoted = !quoted;
        }
    }
    out
}

fn mutated(corpus: &[Vec<String>], chance: &mut Chance) -> String {
    const SPICE: [&str; 24] = [
        "NULL",
        "*",
        "(",
        ")",
        "''",
        "-1",
        "9223372036854775807",
        "1e308",
        "\"",
        "?",
        "FILTER (WHERE 1)",
        "OVER ()",
        "DISTINCT",
        " IN (SELECT 1)",
        " UNION ALL ",
        "ARRAY[1]",
        "foo",
        "dim1",
        "__time",
        "GROUP BY 1",
        "LIMIT 0",
        "EXISTS (SELECT 1)",
        "[0]",
        "CAST(1 AS DATE)",
    ];
    let mut text = corpus[chance.below(corpus.len())].clone();
    for _ in 0..1 + chance.below(3) {
        let at = chance.below(text.len());
        match chance.below(6) {
            0 => drop(text.remove(at)),
            1 => text.insert(at, text[at].clone()),
            2 => {
                let other = chance.below(text.len());
                text.swap(at, other);
            }
            3 => text.insert(at, format!(" {} ", SPICE[chance.below(SPICE.len())])),
            4 => {
                let other = &corpus[chance.below(corpus.len())];
                text[at].clone_from(&other[chance.below(other.len())]);
            }
            _ => {
                let other = &corpus[chance.below(corpus.len())];
                let from = chance.below(other.len());
                text.splice(at..at, other[from..(from + 1 + chance.below(12)).min(other.len())].iter().cloned());
            }
        }
        if text.is_empty() {
            text.push("SELECT".to_owned());
        }
    }
    text.concat()
}

#[test]
fn mutated_statements_are_answered() {
    let corpus: Vec<Vec<String>> = statements().iter().map(|sql| words(sql)).collect();
    let count = std::env::var("OVATE_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(COUNT);
    let tried = move || {
        let server = Server::new();
        let mut chance = Chance(SEED);
        let (mut answered, mut refused) = (0, 0);
        for number in 0..count {
            let sql = mutated(&corpus, &mut chance);
            let ask = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.answer(&sql)));
            let Ok(first) = ask() else { panic!("statement {number} panics: {sql}") };
            let Ok(again) = ask() else { panic!("statement {number} panics the second time: {sql}") };
            assert_eq!(first.is_ok(), again.is_ok(), "statement {number} is answered in one way and then in another: {sql}");
            if first.is_ok() { answered += 1 } else { refused += 1 }
        }
        (answered, refused)
    };
    let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(tried).expect("a thread");
    let (answered, refused) = thread.join().expect("no statement panics");
    assert!(answered > count / 20 && refused > count / 20, "{answered} answered, {refused} refused");
}
