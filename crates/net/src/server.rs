//! The HTTP shell: binds, serves a router until told to stop, and answers unknown paths, panics and too large bodies with
//! Druid's error JSON.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::serve::ListenerExt;
use ovate_base::{DruidError, Result};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::error::ApiError;

/// Largest request body: inline ingestion specs may be large, bombs must not be.
pub const REQUEST_BODY_BYTES_MAX: usize = 256 << 20;
/// How long open requests may go on after shutdown begins.
const DRAIN: Duration = Duration::from_secs(5);

/// A bound listener, so that the port is known (port 0 picks one) before anything is served.
pub struct BoundServer {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl BoundServer {
    /// Binds `host:port`; the error names both.
    pub async fn bind(host: &str, port: u16) -> Result<Self> {
        let listener = TcpListener::bind((host, port)).await.map_err(|e| {
            DruidError::runtime(format!(
                "cannot listen on {host}:{port}: {e}; is another server running, or set druid.plaintextPort"
            ))
        })?;
        let address = listener.local_addr().map_err(|e| DruidError::runtime(format!("cannot read the bound address: {e}")))?;
        Ok(BoundServer { listener, address })
    }

    /// Serves until `shutdown` turns true, then lets open requests finish for a bounded time.
    pub async fn serve(self, router: Router, mut shutdown: watch::Receiver<bool>) -> Result<()> {
        let listener = self.listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let mut drained = shutdown.clone();
        let serving = axum::serve(listener, shell(router)).with_graceful_shutdown(async move {
            let _ = shutdown.wait_for(|stop| *stop).await;
        });
        tokio::select! {
            result = serving.into_future() => result.map_err(|e| DruidError::runtime(format!("the HTTP server failed: {e}"))),
            () = async {
                let _ = drained.wait_for(|stop| *stop).await;
                tokio::time::sleep(DRAIN).await;
            } => Ok(()),
        }
    }
}

/// Adds what every router needs: body limit and Druid's JSON for unknown paths.
pub fn shell(router: Router) -> Router {
    router.fallback(unknown_path).layer(DefaultBodyLimit::max(REQUEST_BODY_BYTES_MAX))
}

async fn unknown_path(method: Method, uri: Uri) -> ApiError {
    ApiError(DruidError::not_found(format!("no such endpoint: {method} {}", uri.path())))
}
