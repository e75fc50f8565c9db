//! A sample data set: a day of edits on a made-up family of sites, with the skew that such logs have. The same bytes every
//! time, from a fixed seed.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use ovate_base::time::format_iso_into;
use ovate_base::{DruidError, Result};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Rows of the sample.
pub const ROWS: u64 = 300_000;
/// 2026-09-12, the day of the edits.
const DAY_START_MS: i64 = 1_789_171_200_000;
const DAY_MS: i64 = 86_400_000;
const SEED: u64 = 20_260_912;

const CHANNELS: [&str; 12] = ["en", "de", "fr", "es", "ja", "ru", "it", "zh", "pt", "pl", "nl", "sv"];
const NAMESPACES: [&str; 8] = ["Main", "Talk", "User", "User talk", "Project", "File", "Category", "Template"];
/// A country's regions, each with its cities.
type Regions = &'static [(&'static str, &'static [&'static str])];

const COUNTRIES: [(&str, Regions); 8] = [
    (
        "United States",
        &[("California", &["Los Angeles", "San Diego", "Oakland"]), ("Texas", &["Austin", "Houston"]), ("Ohio", &["Columbus"])],
    ),
    ("Germany", &[("Bavaria", &["Munich", "Augsburg"]), ("Hesse", &["Frankfurt"]), ("Saxony", &["Leipzig", "Dresden"])]),
    ("France", &[("Occitania", &["Toulouse"]), ("Brittany", &["Rennes", "Brest"])]),
    ("Japan", &[("Kanto", &["Yokohama", "Chiba"]), ("Kansai", &["Osaka", "Kobe"])]),
    ("Brazil", &[("Bahia", &["Salvador"]), ("Parana", &["Curitiba"])]),
    ("India", &[("Kerala", &["Kochi"]), ("Punjab", &["Ludhiana", "Amritsar"])]),
    ("Poland", &[("Silesia", &["Katowice"]), ("Masovia", &["Warsaw"])]),
    ("Sweden", &[("Skane", &["Malmo", "Lund"])]),
];
const SUBJECTS: [&str; 24] = [
    "River", "Castle", "Bridge", "Album", "Novel", "Station", "Battle", "Comet", "Valley", "Painter", "Season", "Village",
    "Railway", "Museum", "Theorem", "Orchid", "Falcon", "Harbour", "Sonata", "Crater", "Election", "Glacier", "Temple", "Engine",
];
const COMMENTS: [&str; 10] = [
    "typo",
    "copyedit",
    "added a source",
    "new section",
    "reverted",
    "links",
    "formatting",
    "updated figures",
    "category",
    "cleanup",
];

/// Writes the sample as gzipped JSON lines, unless it is there; gives the number of rows.
pub fn write_file(path: &Path) -> Result<u64> {
    if path.exists() {
        return Ok(ROWS);
    }
    let failed = |e: std::io::Error| DruidError::runtime(format!("cannot write the sample to [{}]: {e}", path.display()));
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    let beside = path.with_extension("tmp");
    let file = BufWriter::new(File::create(&beside).map_err(failed)?);
    let mut out = GzEncoder::new(file, Compression::fast());
    write_rows(&mut out, ROWS).map_err(failed)?;
    out.finish().and_then(|mut file| file.flush()).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)?;
    Ok(ROWS)
}

/// Writes so many JSON lines, in order of time.
pub fn write_rows(out: &mut impl Write, rows: u64) -> std::io::Result<()> {
    let mut chance = StdRng::seed_from_u64(SEED);
    let mut line = String::with_capacity(512);
    for row in 0..rows {
        line.clear();
        let slot = DAY_MS / rows.max(1) as i64;
        let time = DAY_START_MS + (row as i64 * DAY_MS) / rows.max(1) as i64 + chance.random_range(0..slot.max(1));
        write_row(&mut line, &mut chance, time);
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}

/// A number below `n`, small ones much more often than large ones.
fn skewed(chance: &mut StdRng, n: u32, skew: f64) -> u32 {
    let at: f64 = chance.random();
    ((f64::from(n) + 1.0).powf(at.powf(skew)) - 1.0) as u32 % n
}

fn write_row(line: &mut String, chance: &mut StdRng, time: i64) {
    let channel = CHANNELS[skewed(chance, 12, 1.2) as usize];
    let page = skewed(chance, 40_000, 0.9);
    let robot = chance.random_ratio(1, 4);
    let anonymous = !robot && chance.random_ratio(1, 8);
    let user = if robot { skewed(chance, 60, 1.3) } else { skewed(chance, 9_000, 1.0) };
    let new = chance.random_ratio(1, 14);
    let namespace = NAMESPACES[skewed(chance, 8, 1.6) as usize];
    let added = skewed(chance, 20_000, 1.1);
    let deleted = if new || chance.random_ratio(2, 3) { 0 } else { skewed(chance, 4_000, 1.3) };
    line.push_str("{\"time\":\"");
    format_iso_into(time, &ovate_base::time::Zone::UTC, line);
    let subject = SUBJECTS[(page.wrapping_mul(2_654_435_761) >> 16) as usize % SUBJECTS.len()];
    let kind = if robot { "Bot" } else { "User" };
    let comment = COMMENTS[skewed(chance, 10, 1.0) as usize];
    // Writing to a string cannot fail.
    let _ = write!(line, "\",\"channel\":\"#{channel}.site\",\"page\":\"{subject} {page}\",\"namespace\":\"{namespace}\"");
    if anonymous {
        let (country, regions) = COUNTRIES[skewed(chance, 8, 1.0) as usize];
        let (region, cities) = regions[chance.random_range(0..regions.len())];
        let city = cities[chance.random_range(0..cities.len())];
        let _ = write!(line, ",\"user\":\"10.{}.{}.{}\"", user % 7, user / 251 % 251, user % 251);
        let _ = write!(line, ",\"countryName\":\"{country}\",\"regionName\":\"{region}\",\"cityName\":\"{city}\"");
    } else {
        let _ = write!(line, ",\"user\":\"{kind} {user}\",\"countryName\":null,\"regionName\":null,\"cityName\":null");
    }
    let _ = write!(line, ",\"comment\":\"{comment}: {subject}\",\"isRobot\":{robot},\"isNew\":{new},\"isAnonymous\":{anonymous}");
    let delta = i64::from(added) - i64::from(deleted);
    let _ = writeln!(line, ",\"added\":{added},\"deleted\":{deleted},\"delta\":{delta}}}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_is_the_same_every_time_and_skewed() {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        write_rows(&mut one, 2000).unwrap();
        write_rows(&mut two, 2000).unwrap();
        assert_eq!(one, two);
        let rows: Vec<serde_json::Value> =
            String::from_utf8(one).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(rows.len(), 2000);
        assert!(rows.windows(2).all(|w| w[0]["time"].as_str() <= w[1]["time"].as_str()));
        assert!(rows[0]["time"].as_str().unwrap().starts_with("2026-09-12T00:00"), "{}", rows[0]);
        let english = rows.iter().filter(|r| r["channel"] == "#en.site").count();
        assert!(english > 300, "{english}");
    }
}
