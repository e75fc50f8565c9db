//! Requests that not any Broker can answer: those of a JDBC connection go to the Broker that has it, chosen by the connection's id
//! (`rendezvousHash`); cancelling and asynchronous statements are asked of each Broker until one knows them.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use ovate_base::DruidError;
use ovate_net::{ApiError, NodeRole};

use super::backend::Backends;
use crate::broker::avatica::connection_id;

/// Bodies that are held here: calls of JDBC drivers, not data.
const BODY_BYTES_MAX: usize = 64 << 20;

/// How a request finds its Broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Any will do.
    Any,
    /// That of the JDBC connection.
    Connection { is_protobuf: bool },
    /// Whichever knows it.
    Known,
}

/// The way of a request.
pub fn way(method: &Method, path: &str) -> Way {
    let rest = path.strip_prefix("/druid/v2").unwrap_or_default().trim_matches('/');
    if let Some(form) = rest.strip_prefix("sql/avatica") {
        return Way::Connection { is_protobuf: form.starts_with("-protobuf") };
    }
    let statement = rest.strip_prefix("sql/statements/").is_some_and(|id| !id.is_empty() && id != "enabled");
    let cancels = method == Method::DELETE && !rest.is_empty();
    if statement || cancels { Way::Known } else { Way::Any }
}

/// Of these, the one whose name and the key together hash highest: it stays the same while others come and go.
pub fn rendezvous<'n>(nodes: &'n [String], key: &str) -> Option<&'n String> {
    let hash = |node: &str| {
        let bytes = node.bytes().chain([0]).chain(key.bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        // Spreads the last bytes over the upper bits.
        let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^ (hash >> 33)
    };
    nodes.iter().max_by_key(|node| hash(node))
}

async fn held(body: Body) -> Result<Bytes, DruidError> {
    let large = |_| DruidError::invalid_input(format!("a request of this kind may have at most {BODY_BYTES_MAX} bytes"));
    to_bytes(body, BODY_BYTES_MAX).await.map_err(large)
}

/// Sends a call of a JDBC driver to its connection's Broker.
pub async fn by_connection(backends: &Arc<Backends>, is_protobuf: bool, request: Request) -> Response {
    let answer = async {
        let (parts, body) = request.into_parts();
        let body = held(body).await?;
        let id = connection_id(is_protobuf, &body, parts.headers.get("request").map(|value| value.as_bytes()));
        let backend = backends.choose_by(NodeRole::Broker, id.as_deref()).await?;
        Ok::<_, DruidError>(backend.forward(Request::from_parts(parts, Body::from(body))).await)
    };
    answer.await.unwrap_or_else(|error| ApiError(error).into_response())
}

/// Asks one Broker after the other until one knows what the path names.
pub async fn until_known(backends: &Arc<Backends>, request: Request) -> Response {
    let answer = async {
        let (parts, body) = request.into_parts();
        let body = held(body).await?;
        let mut last = None;
        // Cancelling a native query is accepted by whoever is asked, known or not: all are.
        let everywhere = parts.method == Method::DELETE;
        for backend in backends.every(NodeRole::Broker).await? {
            let response = backend.forward(again(&parts, body.clone())).await;
            let knows = response.status() != StatusCode::NOT_FOUND;
            if last.is_none() || knows {
                last = Some(response);
            }
            if knows && !everywhere {
                break;
            }
        }
        last.ok_or_else(|| DruidError::service_unavailable("no broker is announced; is one running?"))
    };
    answer.await.unwrap_or_else(|error| ApiError(error).into_response())
}

fn again(parts: &Parts, body: Bytes) -> Request<Body> {
    let mut request = Request::new(Body::from(body));
    request.method_mut().clone_from(&parts.method);
    request.uri_mut().clone_from(&parts.uri);
    request.headers_mut().clone_from(&parts.headers);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_find_their_way_by_path() {
        assert_eq!(way(&Method::POST, "/druid/v2/sql"), Way::Any);
        assert_eq!(way(&Method::POST, "/druid/v2/sql/avatica/"), Way::Connection { is_protobuf: false });
        assert_eq!(way(&Method::POST, "/druid/v2/sql/avatica-protobuf/"), Way::Connection { is_protobuf: true });
        assert_eq!(way(&Method::DELETE, "/druid/v2/sql/some-id"), Way::Known);
        assert_eq!(way(&Method::DELETE, "/druid/v2/some-id"), Way::Known);
        assert_eq!(way(&Method::GET, "/druid/v2/sql/statements/x/results"), Way::Known);
        assert_eq!(way(&Method::POST, "/druid/v2/sql/statements/"), Way::Any);
        assert_eq!(way(&Method::GET, "/druid/v2/sql/statements/enabled"), Way::Any);
        assert_eq!(way(&Method::GET, "/druid/v2/datasources"), Way::Any);
    }

    #[test]
    fn a_key_stays_where_it_is_when_another_node_goes_and_keys_are_spread() {
        let nodes: Vec<String> = (0..5).map(|n| format!("10.0.0.{n}:8082")).collect();
        let mut counts = [0usize; 5];
        for key in 0..1000 {
            let key = format!("connection-{key}");
            let chosen = rendezvous(&nodes, &key).expect("a node");
            counts[nodes.iter().position(|n| n == chosen).expect("one of them")] += 1;
            let fewer: Vec<String> = nodes.iter().filter(|n| *n == chosen || n.as_str() != nodes[0]).cloned().collect();
            assert_eq!(rendezvous(&fewer, &key), Some(chosen));
        }
        assert!(counts.iter().all(|count| (140..260).contains(count)), "{counts:?}");
        assert_eq!(rendezvous(&[], "x"), None);
    }
}
