//! Turns a [`DruidError`] into an HTTP answer with Druid's error body. Handlers return [`ApiResult`], so `?` is enough.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ovate_base::DruidError;

/// What an HTTP handler returns.
pub type ApiResult<T> = Result<T, ApiError>;

/// A [`DruidError`] on its way out over HTTP.
#[derive(Debug)]
pub struct ApiError(pub DruidError);

impl From<DruidError> for ApiError {
    fn from(error: DruidError) -> Self {
        ApiError(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.0.to_json(None))).into_response()
    }
}
