//! Answers of queries over HTTP: in JSON or Smile, written to the socket in pieces while they are made, with back-pressure;
//! and errors in the form that was asked for.

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE, TRAILER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use ovate_base::{DruidError, Result, smile};
use ovate_query::ResultFormat;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};

/// Media type of Smile.
pub const SMILE: &str = "application/x-jackson-smile";
/// What the header `Trailer` announces.
pub const COMPLETE_NAME: &str = "X-Druid-Response-Complete";
const COMPLETE: HeaderName = HeaderName::from_static("x-druid-response-complete");
/// Pieces of an answer that wait for a slow client.
const PIECES_MAX: usize = 4;

/// The form in which a client wants its answer: as `Accept` says, else that of the request's body.
pub fn wanted_format(headers: &HeaderMap) -> ResultFormat {
    let is_smile = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok()).map(|text| text.contains(SMILE));
    let accepts = headers.get(ACCEPT).and_then(|v| v.to_str().ok()).filter(|text| !text.trim_start().starts_with("*/*"));
    let smile = match accepts {
        Some(text) => text.contains(SMILE),
        None => is_smile(CONTENT_TYPE).unwrap_or(false),
    };
    if smile { ResultFormat::Smile } else { ResultFormat::Json }
}

/// A document in this form.
pub fn document(format: ResultFormat, status: StatusCode, document: &Value) -> Response {
    let body = match format {
        ResultFormat::Json => document.to_string().into_bytes(),
        ResultFormat::Smile => smile::from_json(document),
    };
    (status, [(CONTENT_TYPE, format.media_type())], body).into_response()
}

/// An error in this form.
pub fn error(format: ResultFormat, error: &DruidError, host: Option<&str>) -> Response {
    let status = StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    document(format, status, &error.to_json(host))
}

/// Runs `work` on a thread that may work and wait, and streams what it hands to its sink. An error before the first piece
/// becomes the answer; one after it breaks the connection off, which no client takes for a complete answer.
pub async fn stream<W>(format: ResultFormat, headers: Vec<(HeaderName, String)>, work: W) -> Result<Response>
where
    W: FnOnce(&mut dyn FnMut(Vec<u8>) -> Result<()>) -> Result<()> + Send + 'static,
{
    let (pieces, mut received) = mpsc::channel::<std::result::Result<Bytes, std::io::Error>>(PIECES_MAX);
    let (failed, failure) = tokio::sync::oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let mut began = false;
        let outcome = work(&mut |piece| {
            began = true;
            let gone = |_| DruidError::cancelled("the client is gone");
            pieces.blocking_send(Ok(Bytes::from(piece))).map_err(gone)
        });
        if let Err(error) = outcome {
            if began {
                let _ = pieces.blocking_send(Err(std::io::Error::other(error.message)));
            } else {
                let _ = failed.send(error);
            }
        }
    });
    let Some(first) = received.recv().await else {
        return Err(failure.await.unwrap_or_else(|_| DruidError::runtime("the query's thread failed")));
    };
    Ok(streamed(format, headers, tokio_stream::once(first).chain(ReceiverStream::new(received))))
}

/// An answer that is all there.
pub fn whole(format: ResultFormat, headers: Vec<(HeaderName, String)>, body: Vec<u8>) -> Response {
    response(format, headers, Body::from(body))
}

/// Streams pieces that a task sends; an error among them ends the answer as in [`stream`].
pub async fn stream_of(
    format: ResultFormat,
    headers: Vec<(HeaderName, String)>,
    mut pieces: mpsc::Receiver<Result<Vec<u8>>>,
) -> Result<Response> {
    let first = pieces.recv().await.unwrap_or_else(|| Err(DruidError::runtime("the query's task failed")))?;
    let rest = ReceiverStream::new(pieces).map(|piece| match piece {
        Ok(bytes) => Ok(Bytes::from(bytes)),
        Err(error) => Err(std::io::Error::other(error.message)),
    });
    Ok(streamed(format, headers, tokio_stream::once(Ok(Bytes::from(first))).chain(rest)))
}

/// The trailer that follows a body that was sent whole.
pub fn complete() -> HeaderMap {
    HeaderMap::from_iter([(COMPLETE, HeaderValue::from_static("true"))])
}

/// An answer of these pieces, with the trailer behind the last one; an error among them ends it before that.
fn streamed(
    format: ResultFormat,
    headers: Vec<(HeaderName, String)>,
    pieces: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
) -> Response {
    let frames = pieces.map(|piece| piece.map(Frame::data));
    let body = StreamBody::new(frames.chain(tokio_stream::once(Ok(Frame::trailers(complete())))));
    let mut response = response(format, headers, Body::new(body));
    response.headers_mut().insert(TRAILER, HeaderValue::from_static(COMPLETE_NAME));
    response
}

fn response(format: ResultFormat, headers: Vec<(HeaderName, String)>, body: Body) -> Response {
    let mut response = Response::new(body);
    let target = response.headers_mut();
    target.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            target.insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[test]
    fn the_answer_takes_the_form_of_the_request_unless_another_is_accepted() {
        let headers = |pairs: &[(HeaderName, &'static str)]| {
            pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect::<HeaderMap>()
        };
        assert_eq!(wanted_format(&headers(&[(CONTENT_TYPE, SMILE)])), ResultFormat::Smile);
        assert_eq!(wanted_format(&headers(&[(CONTENT_TYPE, SMILE), (ACCEPT, "application/json")])), ResultFormat::Json);
        assert_eq!(wanted_format(&headers(&[(CONTENT_TYPE, "application/json"), (ACCEPT, "*/*")])), ResultFormat::Json);
        assert_eq!(wanted_format(&headers(&[(ACCEPT, SMILE)])), ResultFormat::Smile);
        assert_eq!(wanted_format(&HeaderMap::new()), ResultFormat::Json);
    }

    #[tokio::test]
    async fn errors_before_the_first_piece_are_the_answer() {
        let failed = stream(ResultFormat::Json, Vec::new(), |_| Err(DruidError::timeout("late"))).await;
        assert_eq!(failed.map(|_| ()).map_err(|e| e.http_status()), Err(504));
    }

    #[tokio::test]
    async fn a_whole_answer_ends_with_the_trailer() {
        let answer = stream(ResultFormat::Json, Vec::new(), |sink| sink(b"[]".to_vec())).await.expect("an answer");
        assert_eq!(answer.headers().get("Trailer").map(HeaderValue::as_bytes), Some(COMPLETE_NAME.as_bytes()));
        let body = answer.into_body().collect().await.expect("a body");
        assert_eq!(body.trailers().and_then(|t| t.get(COMPLETE)).map(HeaderValue::as_bytes), Some(&b"true"[..]));
        assert_eq!(body.to_bytes(), &b"[]"[..]);
    }

    #[tokio::test]
    async fn errors_after_it_break_the_body_off() {
        let answer = stream(ResultFormat::Json, Vec::new(), |sink| {
            sink(b"[1,".to_vec())?;
            Err(DruidError::runtime("disk"))
        });
        let body = answer.await.expect("it began").into_body();
        assert!(axum::body::to_bytes(body, 1000).await.is_err());
    }
}
