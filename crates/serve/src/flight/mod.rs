//! Arrow Flight SQL as a listener of the Broker (`druid.ovate.flight.port`, off unless set): statements, prepared statements and
//! the catalogue over gRPC. Handles and tickets carry all that is needed, so that any Broker answers what another has prepared.

mod batch;
mod metadata;
mod service;
#[cfg(test)]
mod tests;

use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use ovate_base::{DruidError, Result};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tracing::{error, info};

pub use self::service::FlightListenerService;
use crate::broker::BrokerState;

/// Messages that a client may send: statements and parameters.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// How often a silent connection is asked whether it is still there.
const ALIVE: Duration = Duration::from_secs(60);
/// Requests that one connection may have open.
const REQUESTS_MAX: usize = 64;

/// A bound listener.
pub struct FlightListener {
    listener: TcpListener,
    broker: BrokerState,
}

impl FlightListener {
    /// Binds `host:port`; the error names both.
    pub async fn bind(host: &str, port: u16, broker: BrokerState) -> Result<Self> {
        let listener = TcpListener::bind((host, port)).await.map_err(|e| {
            DruidError::runtime(format!("cannot listen on {host}:{port} for Arrow Flight SQL: {e}; see druid.ovate.flight.port"))
        })?;
        Ok(FlightListener { listener, broker })
    }

    /// Answers until `shutdown` turns true.
    pub async fn serve(self, mut shutdown: watch::Receiver<bool>) {
        if let Ok(address) = self.listener.local_addr() {
            info!("listening. protocol=flight-sql address={address}");
        }
        let service =
            FlightServiceServer::new(FlightListenerService { broker: self.broker }).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let stopped = async move {
            let _ = shutdown.wait_for(|stop| *stop).await;
        };
        let served = Server::builder()
            .tcp_nodelay(true)
            .http2_keepalive_interval(Some(ALIVE))
            .concurrency_limit_per_connection(REQUESTS_MAX)
            .add_service(service)
            .serve_with_incoming_shutdown(TcpListenerStream::new(self.listener), stopped);
        if let Err(failure) = served.await {
            error!("server ended. protocol=flight-sql error={failure}");
        }
    }
}
