//! The TCP server to which the nodes connect: it checks who is there and turns lines into [`Notice`]s.
//!
//! ```text
//! node                          collector                       conductor
//!  │── Hello ───────────────────▶│ known name, right address?      │
//!  │◀───────────────── Welcome ──│── Notice::Hello(link) ─────────▶│
//!  │◀────────────────── orders ──│◀─────────── link.send(order) ───│
//!  │── reports ─────────────────▶│── Notice::Report ──────────────▶│
//! ```
//!
//! A peer that sends anything else is disconnected and reported as [`Notice::Refused`]; nothing else is disturbed. The
//! number of connections, the length of a line and every queue are bounded.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_log::SCHEMA;
use event_log::control::{Order, Report};
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use event_log::clock;
use event_log::lines::LineReader;

/// Connections at one time. Twice the largest cluster: a node that reconnects may stand here twice for a moment.
pub const CONNECTIONS_MAX: usize = 2 * event_log::plan::SIZE_MAX as usize;

/// Orders that may wait for one node. A node that does not read so many is disconnected.
pub const ORDERS_MAX: usize = 256;

/// Notices that may wait for the conductor. Above this the connections wait, so that nothing grows.
const NOTICES_MAX: usize = 4096;

/// A stranger has so long to say Hello, and so many bytes.
const HELLO_LIMIT: Duration = Duration::from_secs(5);
const HELLO_BYTES_MAX: usize = 4096;

/// A node that does not read for so long is disconnected.
const WRITE_LIMIT: Duration = Duration::from_secs(20);

/// What the collector tells the conductor.
#[derive(Debug)]
pub enum Notice {
    /// A node is there and was made welcome.
    Hello {
        /// Its name.
        name: String,
        /// Identity of its kernel.
        boot_id: String,
        /// Which life of the node it is.
        life: u64,
        /// How to reach it.
        link: Link,
    },
    /// A node said something.
    Report {
        /// Its name.
        name: String,
        /// Over which connection.
        link: u64,
        /// Our clock when the line was read.
        at_ns: u64,
        /// What.
        report: Report,
    },
    /// The connection of a node ended.
    Closed {
        /// Its name.
        name: String,
        /// Which connection.
        link: u64,
        /// Our clock when the end was seen.
        at_ns: u64,
    },
    /// A peer did not keep to the protocol and was disconnected.
    Refused {
        /// The peer's address.
        peer: SocketAddr,
        /// Its name, when it was known.
        name: Option<String>,
        /// What it did.
        reason: String,
    },
}

/// The sending half of a node's connection. Dropping the last clone closes the connection.
#[derive(Debug, Clone)]
pub struct Link {
    id: u64,
    orders: mpsc::Sender<Order>,
}

/// The order was not taken: the connection is gone or its queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the connection is gone or the node does not read")]
pub struct LinkDown;

impl Link {
    /// Distinguishes connections.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Queues an order; it does not wait.
    ///
    /// # Errors
    /// [`LinkDown`].
    pub fn send(&self, order: Order) -> Result<(), LinkDown> {
        self.orders.try_send(order).map_err(|_| LinkDown)
    }
}

/// The nodes that may connect: name → gossip address.
#[derive(Debug, Clone, Default)]
pub struct Roster(Arc<Mutex<BTreeMap<String, SocketAddr>>>);

impl Roster {
    /// From now on a node of this name and address is welcome.
    pub fn expect(&self, name: &str, addr: SocketAddr) {
        self.0.lock().expect("no holder of this lock panics").insert(name.to_owned(), addr);
    }

    /// Why a node that says this is not welcome, if it is not.
    fn objection(&self, name: &str, addr: SocketAddr) -> Option<String> {
        let roster = self.0.lock().expect("no holder of this lock panics");
        match roster.get(name) {
            None => Some(format!("no node of the name {name:?} is expected")),
            Some(expected) if *expected != addr => Some(format!("{name} is expected at {expected}, not at {addr}")),
            Some(_) => None,
        }
    }
}

/// The running server. It stops when it is dropped.
#[derive(Debug)]
pub struct Collector {
    addr: SocketAddr,
    accept: JoinHandle<()>,
    notices: mpsc::Receiver<Notice>,
}

impl Collector {
    /// Listens at `addr` (port 0: any).
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn listen(addr: SocketAddr, roster: Roster) -> std::io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let (send, notices) = mpsc::channel(NOTICES_MAX);
        let accept = tokio::spawn(accept(listener, Server { roster, notices: send, ids: Arc::default() }));
        Ok(Self { addr, accept, notices })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next notice. Safe to cancel.
    ///
    /// # Panics
    /// Never: the accepting task holds a sender as long as `self` lives.
    pub async fn next(&mut self) -> Notice {
        self.notices.recv().await.expect("the accepting task holds a sender and ends only when self is dropped")
    }

    /// A notice that is there already.
    pub fn try_next(&mut self) -> Option<Notice> {
        self.notices.try_recv().ok()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

#[derive(Debug, Clone)]
struct Server {
    roster: Roster,
    notices: mpsc::Sender<Notice>,
    ids: Arc<AtomicU64>,
}

async fn accept(listener: TcpListener, server: Server) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or the peer is gone already: neither is cured by trying at once.
                tracing::warn!(%error, "cannot accept a control connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            let reason = format!("there are {CONNECTIONS_MAX} control connections already");
            drop(stream);
            let _ = server.notices.send(Notice::Refused { peer, name: None, reason }).await;
            continue;
        };
        let server = server.clone();
        tokio::spawn(async move {
            server.serve(stream, peer).await;
            drop(permit);
        });
    }
}

/// What a valid Hello tells.
struct Hello {
    name: String,
    boot_id: String,
    life: u64,
}

impl Server {
    async fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        // Orders are small and each one matters at once: waiting for more (Nagle) only makes faults late.
        let _ = stream.set_nodelay(true);
        let (read, mut write) = stream.into_split();
        let mut lines = LineReader::new(read);
        lines.set_length_max(HELLO_BYTES_MAX);
        let hello = match tokio::time::timeout(HELLO_LIMIT, self.greet(&mut lines)).await {
            Ok(Ok(Some(hello))) => hello,
            // Connected and gone without a word: a port scan or a node that was killed. Nothing to complain about.
            Ok(Ok(None)) => return,
            Ok(Err(reason)) => {
                let _ = send_line(&mut write, &Order::Reject { reason: reason.clone() }).await;
                return self.refuse(peer, None, reason).await;
            }
            Err(_) => return self.refuse(peer, None, format!("it said no Hello within {HELLO_LIMIT:?}")).await,
        };
        lines.set_length_max(event_log::control::LINE_MAX);
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let (orders, queue) = mpsc::channel(ORDERS_MAX);
        orders.try_send(Order::Welcome).expect("the queue is empty and holds more than one");
        let Hello { name, boot_id, life } = hello;
        let link = Link { id, orders };
        if self.notices.send(Notice::Hello { name: name.clone(), boot_id, life, link }).await.is_err() {
            return;
        }
        let writer = write_orders(write, queue);
        tokio::pin!(writer);
        let offence = tokio::select! {
            offence = self.read_reports(&mut lines, &name, id) => offence,
            () = &mut writer => None,
        };
        let at_ns = clock::now_ns();
        if let Some(reason) = offence {
            self.refuse(peer, Some(name.clone()), reason).await;
        }
        let _ = self.notices.send(Notice::Closed { name, link: id, at_ns }).await;
    }

    /// Reads the Hello: none when the peer left without a word, an error with what was wrong otherwise.
    async fn greet(&self, lines: &mut LineReader<OwnedReadHalf>) -> Result<Option<Hello>, String> {
        let Some(line) = lines.next().await.map_err(|error| error.to_string())? else { return Ok(None) };
        let report = parse(line)?;
        let Report::Hello { schema, name, addr, boot_id, life, .. } = report else {
            return Err(format!("its first line is not a Hello but {}", excerpt(line)));
        };
        if schema.major != SCHEMA.major {
            return Err(format!(
                "{name} speaks schema {schema}, this master speaks {SCHEMA}: use programs of one build"
            ));
        }
        match self.roster.objection(&name, addr) {
            Some(objection) => Err(objection),
            None => Ok(Some(Hello { name, boot_id, life })),
        }
    }

    /// Passes reports on until the connection ends: none when it ended in good order, otherwise what the peer did.
    async fn read_reports(&self, lines: &mut LineReader<OwnedReadHalf>, name: &str, link: u64) -> Option<String> {
        loop {
            let line = match lines.next().await {
                Ok(Some(line)) => line,
                Ok(None) => return None,
                // A node that is killed leaves half a line or a reset: no offence.
                Err(event_log::lines::LineError::Io(_) | event_log::lines::LineError::CutOff(_)) => return None,
                Err(error) => return Some(error.to_string()),
            };
            let at_ns = clock::now_ns();
            let report = match parse(line) {
                Ok(Report::Hello { .. }) => return Some("it said Hello twice over one connection".to_owned()),
                Ok(report) => report,
                Err(reason) => return Some(reason),
            };
            let notice = Notice::Report { name: name.to_owned(), link, at_ns, report };
            if self.notices.send(notice).await.is_err() {
                return None;
            }
        }
    }

    async fn refuse(&self, peer: SocketAddr, name: Option<String>, reason: String) {
        let _ = self.notices.send(Notice::Refused { peer, name, reason }).await;
    }
}

async fn write_orders(mut write: OwnedWriteHalf, mut queue: mpsc::Receiver<Order>) {
    while let Some(order) = queue.recv().await {
        match tokio::time::timeout(WRITE_LIMIT, send_line(&mut write, &order)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
    let _ = write.shutdown().await;
}

async fn send_line(write: &mut OwnedWriteHalf, order: &Order) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    write.write_all(&line).await
}

fn parse(line: &[u8]) -> Result<Report, String> {
    serde_json::from_slice(line).map_err(|error| format!("it sent {}, which is no report: {error}", excerpt(line)))
}

/// The beginning of what was sent, made safe to print.
fn excerpt(line: &[u8]) -> String {
    const BYTES: usize = 60;
    let text = String::from_utf8_lossy(&line[..line.len().min(BYTES)]);
    let more = if line.len() > BYTES { " …" } else { "" };
    format!("{text:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_has_no_control_characters() {
        assert_eq!(excerpt(b"ab\x1b[2J"), "\"ab\\u{1b}[2J\"");
        assert!(excerpt(&[b'x'; 500]).len() < 80);
    }

    #[test]
    fn the_roster_objects_to_strangers_and_to_wrong_addresses() {
        let roster = Roster::default();
        let addr = SocketAddr::from(([127, 77, 0, 1], 7400));
        let other = SocketAddr::from(([127, 77, 0, 2], 7400));
        roster.expect("n001", addr);
        assert_eq!(roster.objection("n001", addr), None);
        assert!(roster.objection("n001", other).is_some_and(|reason| reason.contains("not at 127.77.0.2:7400")));
        assert!(roster.objection("n002", addr).is_some_and(|reason| reason.contains("\"n002\"")));
    }
}
