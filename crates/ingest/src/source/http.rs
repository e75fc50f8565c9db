//! The `http` input source (SRC-02): one way to fetch, with a check of the scheme, deadlines, and retries that go on where
//! the last answer broke off.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ovate_base::{DruidError, Result};
use reqwest::{Client, Response, StatusCode};
use tokio::runtime::Handle;

use super::ByteStream;

/// Credentials and headers of all requests of a source.
#[derive(Clone, Default)]
pub struct HttpOptions {
    pub user: Option<String>,
    pub password: Option<String>,
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HttpOptions(user {:?})", self.user)
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that sends nothing for this long is given up.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// As `RetryUtils` in `InputEntity.fetch`.
const ATTEMPTS_MAX: u32 = 4;

/// Opens an address for reading.
pub fn open(uri: &str, options: &Arc<HttpOptions>, handle: &Handle) -> Result<ByteStream> {
    if !uri.starts_with("http://") && !uri.starts_with("https://") {
        return Err(DruidError::invalid_input(format!("only [http, https] protocols are allowed, not [{uri}]")));
    }
    let client = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .no_gzip()
        .build()
        .map_err(|e| DruidError::runtime(format!("cannot make an HTTP client: {e}")))?;
    let mut stream = HttpStream {
        client,
        uri: uri.to_owned(),
        options: options.clone(),
        handle: handle.clone(),
        response: None,
        rest: Bytes::new(),
        read: 0,
        failures: 0,
    };
    stream.connect().map_err(|e| DruidError::invalid_input(format!("cannot fetch [{uri}]: {e}")))?;
    Ok(Box::new(stream))
}

struct HttpStream {
    client: Client,
    uri: String,
    options: Arc<HttpOptions>,
    handle: Handle,
    response: Option<Response>,
    rest: Bytes,
    /// Bytes handed out so far, where a new request goes on.
    read: u64,
    failures: u32,
}

impl HttpStream {
    fn connect(&mut self) -> io::Result<()> {
        loop {
            match self.handle.block_on(self.request()) {
                Ok(response) => {
                    self.response = Some(response);
                    return Ok(());
                }
                Err((error, fatal)) => self.failed(error, fatal)?,
            }
        }
    }

    /// Counts a failure and waits; gives up after some.
    fn failed(&mut self, error: String, fatal: bool) -> io::Result<()> {
        self.failures += 1;
        if fatal || self.failures >= ATTEMPTS_MAX {
            return Err(io::Error::other(error));
        }
        tracing::warn!("fetch failed, trying again. uri={} error={error}", self.uri);
        std::thread::sleep(Duration::from_millis(500 << self.failures));
        Ok(())
    }

    async fn request(&self) -> std::result::Result<Response, (String, bool)> {
        let mut request = self.client.get(&self.uri);
        if let Some(user) = &self.options.user {
            request = request.basic_auth(user, self.options.password.as_ref());
        }
        for (name, value) in &self.options.headers {
            request = request.header(name, value);
        }
        if self.read > 0 {
            request = request.header("Range", format!("bytes={}-", self.read));
        }
        let response = request.send().await.map_err(|e| (e.to_string(), e.is_builder()))?;
        let status = response.status();
        if self.read > 0 && status != StatusCode::PARTIAL_CONTENT {
            return Err((format!("the server cannot go on at byte {} (status {status})", self.read), true));
        }
        if !status.is_success() {
            return Err((format!("the server answered {status}"), status.is_client_error()));
        }
        Ok(response)
    }
}

impl Read for HttpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let Some(response) = &mut self.response else {
                self.connect()?;
                continue;
            };
            match self.handle.block_on(response.chunk()) {
                Ok(Some(bytes)) => self.rest = bytes,
                Ok(None) => return Ok(0),
                Err(error) => {
                    self.response = None;
                    self.failed(error.to_string(), false)?;
                }
            }
        }
        let count = buf.len().min(self.rest.len());
        buf[..count].copy_from_slice(&self.rest.split_to(count));
        self.read += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;

    /// Answers each connection with the next of these texts, and gives the request heads back.
    fn serve(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/a%20b.json", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let mut heads = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                    head.push(byte[0]);
                }
                heads.push(String::from_utf8(head).unwrap());
                stream.write_all(answer.as_bytes()).unwrap();
            }
            heads
        });
        (address, thread)
    }

    async fn read(address: String, options: HttpOptions) -> std::result::Result<String, String> {
        let handle = Handle::current();
        let read = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            open(&address, &Arc::new(options), &handle)
                .map_err(|e| e.message)?
                .read_to_string(&mut text)
                .map_err(|e| e.to_string())?;
            Ok(text)
        });
        read.await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn broken_answer_goes_on_where_it_broke() {
        let (address, thread) = serve(vec![
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234".into(),
            "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\n56789".into(),
        ]);
        let options =
            HttpOptions { user: Some("u".into()), password: Some("p".into()), headers: vec![("X-A".into(), "1".into())] };
        assert_eq!(read(address, options).await.unwrap(), "0123456789");
        let heads = thread.join().unwrap();
        assert!(
            heads[0].to_lowercase().contains("authorization: basic dtpw") && heads[0].to_lowercase().contains("x-a: 1"),
            "{}",
            heads[0]
        );
        assert!(heads[1].to_lowercase().contains("range: bytes=5-"), "{}", heads[1]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn refusals_and_schemes_are_named() {
        let (address, thread) = serve(vec!["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into()]);
        assert!(read(address, HttpOptions::default()).await.unwrap_err().contains("404"));
        thread.join().unwrap();
        assert!(read("ftp://x/y".into(), HttpOptions::default()).await.unwrap_err().contains("protocols"));
    }
}
