//! Dashboard queries a second over HTTP: some clients, each asking one after the other on a connection of its own. Written with the
//! standard library alone, so that the client takes next to nothing of the machine that it shares with the server:
//!
//!   rustc --edition 2024 -O bench/throughput.rs -o /tmp/throughput && /tmp/throughput HOST:PORT [CLIENTS=8] [SECONDS=5] [cached|uncached|both]
//!
//! The table is `events` of the bench's data. Days and countries change from query to query as in `peers.py qps`; with `cached` the result
//! caches are used (the same 210 statements come again and again), with `uncached` none is. A third kind, `native`, is a
//! `timeseries` sent to `/druid/v2`. Prints queries a second, and the milliseconds that half and 99 of 100 queries took at most.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const COUNTRIES: [&str; 6] = ["YY", "XH", "DC", "AT", "KY", "EM"];

/// A generator of numbers that is enough for picking days.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn sql(kind: &str, random: &mut Random) -> String {
    let day = 1 + random.below(30);
    let span = format!("__time >= TIMESTAMP '2025-01-{day:02} 00:00:00' AND __time < TIMESTAMP '2025-01-{:02} 00:00:00'", day + 1);
    match kind {
        "topn_country_day" => {
            format!("SELECT country, sum(revenue) AS r FROM events WHERE {span} GROUP BY country ORDER BY r DESC LIMIT 10")
        }
        _ => format!(
            "SELECT date_trunc('hour', __time) AS t, count(*) AS c FROM events WHERE {span} AND country = '{}' GROUP BY 1 ORDER BY 1",
            COUNTRIES[random.below(6) as usize]
        ),
    }
}

fn request(address: &str, kind: &str, cached: bool, random: &mut Random) -> String {
    let (path, body) = if kind == "native_timeseries_day" {
        let day = 1 + random.below(30);
        let body = format!(
            "{{\"queryType\":\"timeseries\",\"dataSource\":\"events\",\"granularity\":\"hour\",\"intervals\":[\"2025-01-{day:02}/P1D\"],\
             \"filter\":{{\"type\":\"selector\",\"dimension\":\"country\",\"value\":\"{}\"}},\
             \"aggregations\":[{{\"type\":\"count\",\"name\":\"c\"}}],\
             \"context\":{{\"useCache\":{cached},\"populateCache\":{cached},\"useResultLevelCache\":{cached},\"populateResultLevelCache\":{cached}}}}}",
            COUNTRIES[random.below(6) as usize]
        );
        ("/druid/v2", body)
    } else {
        let body = format!(
            "{{\"query\":\"{}\",\"resultFormat\":\"array\",\"context\":{{\"useCache\":{cached},\"populateCache\":{cached},\
             \"useResultLevelCache\":{cached},\"populateResultLevelCache\":{cached},\"sqlTimeZone\":\"UTC\"}}}}",
            sql(kind, random)
        );
        ("/druid/v2/sql", body)
    };
    format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Reads one answer; its body is only counted.
fn answer(reader: &mut BufReader<TcpStream>, line: &mut String) -> (u16, usize) {
    let mut next = |reader: &mut BufReader<TcpStream>| {
        line.clear();
        reader.read_line(line).expect("a line");
        line.trim_end().to_owned()
    };
    let status = next(reader).split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
    let (mut length, mut chunked) = (0, false);
    loop {
        let header = next(reader).to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        chunked |= header.starts_with("transfer-encoding:") && header.contains("chunked");
    }
    let mut body = Vec::new();
    if !chunked {
        body.resize(length, 0);
        reader.read_exact(&mut body).expect("the body");
        return (status, body.len());
    }
    let mut total = 0;
    loop {
        let size = usize::from_str_radix(next(reader).split(';').next().unwrap_or(""), 16).expect("the size of a chunk");
        if size == 0 {
            while !next(reader).is_empty() {}
            return (status, total);
        }
        body.resize(size, 0);
        reader.read_exact(&mut body).expect("a chunk");
        next(reader);
        total += size;
    }
}

fn client(address: &str, kind: &str, cached: bool, seed: u64, end: Instant) -> Vec<f64> {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("a socket");
    let mut writer = stream.try_clone().expect("a socket");
    let mut reader = BufReader::new(stream);
    let (mut random, mut line, mut times) = (Random(0x9E37_79B9_7F4A_7C15 ^ (seed + 1) << 20), String::new(), Vec::new());
    while Instant::now() < end {
        let request = request(address, kind, cached, &mut random);
        let begin = Instant::now();
        writer.write_all(request.as_bytes()).expect("sent");
        let (status, bytes) = answer(&mut reader, &mut line);
        assert!(status == 200 && bytes > 2, "status {status}, {bytes} bytes, of {request}");
        times.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    times
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize, default: &str| arguments.get(at).map_or(default, String::as_str).to_owned();
    let (address, clients, seconds) = (argument(0, "127.0.0.1:8888"), argument(1, "8"), argument(2, "5"));
    let clients: u64 = clients.parse().expect("a number of clients");
    let seconds: f64 = seconds.parse().expect("a number of seconds");
    let wanted = argument(3, "both");
    for cached in [false, true].into_iter().filter(|cached| wanted == "both" || *cached == (wanted == "cached")) {
        for kind in ["topn_country_day", "ts_hour_day_filter", "native_timeseries_day"] {
            // Once over, so that columns are decoded and what can be cached is.
            let warm = Instant::now() + Duration::from_secs_f64(1.0);
            client(&address, kind, cached, 99, warm);
            let begin = Instant::now();
            let end = begin + Duration::from_secs_f64(seconds);
            let handles: Vec<_> = (0..clients)
                .map(|seed| {
                    let address = address.clone();
                    std::thread::spawn(move || client(&address, kind, cached, seed, end))
                })
                .collect();
            let mut times: Vec<f64> = handles.into_iter().flat_map(|handle| handle.join().expect("a client")).collect();
            let took = begin.elapsed().as_secs_f64();
            times.sort_by(f64::total_cmp);
            let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
            println!(
                "{kind:24} {:8} clients {clients} {:9.0} queries/s  half {:.2} ms  99 of 100 {:.2} ms",
                if cached { "cached" } else { "uncached" },
                times.len() as f64 / took,
                at(0.5),
                at(0.99)
            );
        }
    }
}
