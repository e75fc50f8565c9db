//! Request bodies as JSON or Smile, with errors in Druid's form: what is wrong and at which line and column.

use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use ovate_base::DruidError;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// A request body parsed as JSON, or as Smile where its type says so. An empty body, a wrong shape and text that is no JSON are `invalidInput` errors.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let smile = request.headers().get(CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"application/x-jackson-smile"));
        let bytes = read_body(request, state).await?;
        if smile {
            let wrong = |e| DruidError::invalid_input(format!("cannot read the request body: {e}"));
            let document = ovate_base::smile::to_json(&bytes)?;
            return serde_json::from_value(document).map(JsonBody).map_err(|e| ApiError(wrong(e)));
        }
        parse_json(&bytes).map(JsonBody).map_err(ApiError)
    }
}

/// Reads the whole body; larger than the server's limit is an error that names it.
pub async fn read_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        let mut error = DruidError::invalid_input(format!("cannot read the request body: {}", rejection.body_text()));
        if rejection.status() == 413 {
            error = DruidError::resource_limit("the request body is larger than druid.server.http.maxRequestBodySize allows");
        }
        ApiError(error)
    })
}

/// Parses JSON text, naming line and column of a mistake.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DruidError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(DruidError::invalid_input("the request body is empty, expected JSON"));
    }
    serde_json::from_slice(bytes).map_err(|e| DruidError::invalid_input(format!("cannot parse the request body as JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_json_names_line_and_column() {
        let error = parse_json::<serde_json::Value>(b"{\"a\":\n tru}").expect_err("not JSON");
        assert!(error.message.contains("line 2"), "{error}");
        assert_eq!(error.http_status(), 400);
    }

    #[test]
    fn empty_body_is_an_error() {
        assert!(parse_json::<serde_json::Value>(b"  ").is_err());
    }
}
