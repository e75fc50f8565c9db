//! PostgreSQL's wire protocol as a listener of the Broker (`druid.ovate.postgres.port`, off unless set): simple and extended
//! queries, parameters, cancelling, and enough of the system tables for psql, Grafana and drivers. There is no authentication, as
//! everywhere in this release: any user and password are taken.

mod catalog;
mod command;
mod copy;
mod cursor;
mod encode;
mod error;
mod parameters;
mod rewrite;
mod session;

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use futures::{Sink, SinkExt};
use ovate_base::{DruidError, Result};
use pgwire::api::auth::StartupHandler;
use pgwire::api::auth::noop::NoopStartupHandler;
use pgwire::api::cancel::{CancelHandler, DefaultCancelHandler};
use pgwire::api::portal::{Format, Portal};
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use pgwire::api::results::{FieldInfo, Response};
use pgwire::api::stmt::{QueryParser, StoredStatement};
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore, ConnectionManager, PgWireServerHandlers, Type};
use pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use pgwire::messages::startup::ParameterStatus;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::{debug, info, warn};

use self::command::Command;
use self::cursor::Direction;
use self::error::{PgError, PgResult};
use self::session::{Prepared, Session};
use crate::broker::BrokerState;

/// Connections at a time; more are refused.
const CONNECTIONS_MAX: usize = 200;
/// Prepared statements and portals have names of their own; this bounds a statement's text.
const STATEMENT_BYTES_MAX: usize = 16 << 20;

/// A bound listener.
pub struct PostgresListener {
    listener: TcpListener,
    broker: BrokerState,
}

impl PostgresListener {
    /// Binds `host:port`; the error names both.
    pub async fn bind(host: &str, port: u16, broker: BrokerState) -> Result<Self> {
        let listener = TcpListener::bind((host, port)).await.map_err(|e| {
            DruidError::runtime(format!(
                "cannot listen on {host}:{port} for PostgreSQL's protocol: {e}; see druid.ovate.postgres.port"
            ))
        })?;
        Ok(PostgresListener { listener, broker })
    }

    /// Takes clients until `shutdown` turns true; open sessions are then dropped.
    pub async fn serve(self, mut shutdown: watch::Receiver<bool>) {
        if let Ok(address) = self.listener.local_addr() {
            info!("listening. protocol=postgresql address={address}");
        }
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let manager = Arc::new(ConnectionManager::new());
        let mut sessions = tokio::task::JoinSet::new();
        let numbers = Arc::new(AtomicI64::new(1));
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(_) = sessions.join_next() => continue,
                _ = shutdown.wait_for(|stop| *stop) => break,
            };
            let (socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(failure) => {
                    warn!("cannot take a connection. error={failure}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            };
            let place = places.clone().try_acquire_owned().ok();
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            let handler = Arc::new(Handler { broker: self.broker.clone(), manager: manager.clone(), place, number });
            sessions.spawn(async move {
                if let Err(failure) = pgwire::tokio::process_socket(socket, None, Handlers(handler)).await {
                    debug!("a session ended. peer={peer} error={failure}");
                }
            });
        }
    }
}

/// What one connection's messages go to.
struct Handler {
    broker: BrokerState,
    manager: Arc<ConnectionManager>,
    /// `None` when there are too many connections.
    place: Option<OwnedSemaphorePermit>,
    number: i64,
}

impl Handler {
    fn session<C: ClientInfo>(&self, client: &C) -> Arc<Session> {
        let user = client.metadata().get("user").cloned().unwrap_or_else(|| "druid".to_owned());
        client.session_extensions().get_or_insert_with(|| Session::new(user, self.number))
    }

    async fn simple<C: ClientInfo>(&self, client: &C, text: &str) -> PgResult<Vec<Response>> {
        if text.len() > STATEMENT_BYTES_MAX {
            return Err(PgError::new("54000", format!("a statement may have at most {STATEMENT_BYTES_MAX} bytes")));
        }
        let session = self.session(client);
        let mut responses = Vec::new();
        for statement in rewrite::split(text)? {
            let one = async {
                let Some(prepared) = session.prepare(&self.broker, &statement, &[]).await? else {
                    return Ok(Response::EmptyQuery);
                };
                session.execute(&self.broker, &prepared, &[], &Format::UnifiedText).await
            };
            match one.await {
                Ok(response) => responses.push(response),
                Err(error) => {
                    // The rest is not run, as in PostgreSQL.
                    responses.push(Response::Error(Box::new(ErrorInfo::from(error))));
                    break;
                }
            }
        }
        Ok(responses)
    }
}

/// Tells the client which settings have changed.
async fn tell<C>(client: &mut C, session: &Session) -> PgWireResult<()>
where
    C: Sink<PgWireBackendMessage> + Unpin + Send,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    for (name, value) in session.take_changed() {
        client.feed(PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name, value))).await?;
    }
    Ok(())
}

#[async_trait]
impl NoopStartupHandler for Handler {
    fn connection_manager(&self) -> Option<Arc<ConnectionManager>> {
        Some(self.manager.clone())
    }

    async fn post_startup<C>(&self, client: &mut C, _message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if self.place.is_none() {
            let message = format!("sorry, too many clients already; at most {CONNECTIONS_MAX}");
            return Err(PgWireError::UserError(Box::new(ErrorInfo::new("FATAL".to_owned(), "53300".to_owned(), message))));
        }
        let user = client.metadata().get("user").cloned().unwrap_or_default();
        for (name, value) in catalog::first_settings(&user) {
            if session::REPORTED.contains(&name.as_str()) {
                client.feed(PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name, value))).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl SimpleQueryHandler for Handler {
    async fn do_query<C>(&self, client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let responses = self.simple(client, query).await?;
        tell(client, &self.session(client)).await?;
        Ok(responses)
    }
}

/// Parses for the extended protocol; the session's settings are not needed for that.
struct StatementParser {
    broker: BrokerState,
    number: i64,
}

#[async_trait]
impl QueryParser for StatementParser {
    type Statement = Arc<Prepared>;

    async fn parse_sql<C>(&self, client: &C, sql: &str, types: &[Option<Type>]) -> PgWireResult<Option<Self::Statement>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        if sql.len() > STATEMENT_BYTES_MAX {
            return Err(PgError::new("54000", format!("a statement may have at most {STATEMENT_BYTES_MAX} bytes")).into());
        }
        let user = client.metadata().get("user").cloned().unwrap_or_else(|| "druid".to_owned());
        let session = client.session_extensions().get_or_insert_with(|| Session::new(user, self.number));
        Ok(session.prepare(&self.broker, sql, types).await?.map(Arc::new))
    }

    fn get_parameter_types(&self, statement: &Self::Statement) -> PgWireResult<Vec<Type>> {
        Ok(statement.parameters.clone())
    }

    fn get_result_schema(&self, statement: &Self::Statement, format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        Ok(statement.columns.as_ref().map_or_else(Vec::new, |columns| session::fields(columns, format)))
    }
}

#[async_trait]
impl ExtendedQueryHandler for Handler {
    type Statement = Arc<Prepared>;
    type QueryParser = StatementParser;

    fn query_parser(&self) -> Arc<Self::QueryParser> {
        Arc::new(StatementParser { broker: self.broker.clone(), number: self.number })
    }

    async fn do_query<C>(&self, client: &mut C, portal: &Portal<Self::Statement>, _max_rows: usize) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let session = self.session(client);
        let (prepared, zone) = (&portal.statement.statement, session.zone());
        if portal.parameters.len() != prepared.parameters.len() {
            let (given, wanted) = (portal.parameters.len(), prepared.parameters.len());
            let message = format!("bind message supplies {given} parameters, but the prepared statement requires {wanted}");
            return Err(PgError::new("08P01", message).into());
        }
        let read = |(at, bytes): (usize, &Option<bytes::Bytes>)| {
            let is_binary = encode::format_of(&portal.parameter_format, at) == pgwire::api::results::FieldFormat::Binary;
            parameters::read(bytes.as_deref(), &prepared.parameters[at], is_binary, &zone)
        };
        let values = portal.parameters.iter().enumerate().map(read).collect::<PgResult<Vec<_>>>()?;
        let response = session.execute(&self.broker, prepared, &values, &portal.result_column_format).await?;
        if let Command::Declare { name, .. } = &prepared.command {
            // A cursor is a portal: clients describe it to know its columns, and may take its rows by Execute.
            let command = Command::Fetch { name: name.clone(), direction: Direction::Forward(None), only_moves: false };
            let columns = Some(session.cursor_columns(name)?);
            let fetch = Arc::new(Prepared { command, columns, parameters: Vec::new() });
            let stored = Arc::new(StoredStatement::new(String::new(), fetch, Vec::new()));
            client.portal_store().put_portal(Arc::new(Portal::new_cursor(name.clone(), stored)));
        }
        tell(client, &session).await?;
        Ok(response)
    }
}

/// Hands the one handler to every kind of message.
struct Handlers(Arc<Handler>);

impl PgWireServerHandlers for Handlers {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        self.0.clone()
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        self.0.clone()
    }

    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        self.0.clone()
    }

    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        Arc::new(DefaultCancelHandler::new(self.0.manager.clone()))
    }
}
