//! The connection to the master: kept up by a task of its own, which speaks with the agent over two channels.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use event_log::clock::now_ns;
use event_log::control::{Order, Report};
use event_log::lines::LineReader;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::recorder::RECORDS_MAX;

/// First and longest pause between two attempts to connect.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// How long a connection may take to come about.
const PATIENCE: Duration = Duration::from_secs(5);

/// For how long a master may take nothing of what is sent to it, or be silent on the wire altogether, before the connection
/// counts as gone.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Orders that may wait for the agent; more wait in the socket.
const ORDERS_MAX: usize = 64;

/// Reports that may wait for the master to take them: all records at once, and answers beside them.
const REPORTS_MAX: usize = RECORDS_MAX + 1024;

/// What the agent hears from its control connection.
#[derive(Debug)]
pub enum Message {
    /// The master greeted this node; reports go through this sender until it closes.
    Connected(mpsc::Sender<Report>),
    /// An order.
    Order(Order),
    /// The connection is gone; another is being tried.
    Lost,
}

/// Keeps a connection to the master, for as long as the receiver lives.
#[must_use]
pub fn connect(master: SocketAddr, hello: Report) -> mpsc::Receiver<Message> {
    let (messages, receiver) = mpsc::channel(ORDERS_MAX);
    tokio::spawn(async move {
        let mut pause = RETRY_MIN;
        while !messages.is_closed() {
            match timeout(PATIENCE, TcpStream::connect(master)).await {
                Ok(Ok(stream)) => {
                    pause = RETRY_MIN;
                    info!(%master, "connected to the master");
                    let reason = serve(stream, &hello, &messages).await;
                    warn!(%master, reason, "the connection to the master is gone");
                    if messages.send(Message::Lost).await.is_err() {
                        return;
                    }
                }
                Ok(Err(error)) => debug!(%master, %error, "no master yet"),
                Err(_) => debug!(%master, "the master does not answer"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    });
    receiver
}

/// Serves one connection to its end; why it ended.
async fn serve(stream: TcpStream, hello: &Report, messages: &mpsc::Sender<Message>) -> String {
    if let Err(error) = stream.set_nodelay(true).and_then(|()| notice_silence(&stream)) {
        return error.to_string();
    }
    let (read, write) = stream.into_split();
    let (reports, outgoing) = mpsc::channel::<Report>(REPORTS_MAX);
    let _ = reports.try_send(hello.clone());
    // The agent may hold a sender still: whichever ends first ends the other.
    tokio::select! {
        reason = read_orders(LineReader::new(read), reports, messages) => reason,
        reason = write_reports(write, outgoing) => reason,
    }
}

/// Lets the kernel ask a silent master whether it is there: one that vanished with its machine or its network says no goodbye.
fn notice_silence(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let probe = STALL_MAX / 6;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(STALL_MAX / 2).with_interval(probe).with_retries(3))?;
    socket.set_tcp_user_timeout(Some(STALL_MAX))
}

async fn write_reports(mut write: OwnedWriteHalf, mut outgoing: mpsc::Receiver<Report>) -> String {
    let mut lines = Vec::new();
    while let Some(report) = outgoing.recv().await {
        lines.clear();
        push_line(&mut lines, &report);
        // What waits already goes out in the same write.
        while lines.len() < 64 * 1024
            && let Ok(report) = outgoing.try_recv()
        {
            push_line(&mut lines, &report);
        }
        match timeout(STALL_MAX, write.write_all(&lines)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return "the master takes no reports".to_owned(),
        }
    }
    "the agent has ended".to_owned()
}

async fn read_orders(
    mut lines: LineReader<OwnedReadHalf>,
    reports: mpsc::Sender<Report>,
    messages: &mpsc::Sender<Message>,
) -> String {
    loop {
        let line = match lines.next().await {
            Ok(Some(line)) => line,
            Ok(None) => return "the master closed it".to_owned(),
            Err(error) => return error.to_string(),
        };
        let order = match serde_json::from_slice::<Order>(line) {
            Ok(order) => order,
            Err(error) => {
                let text = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
                return format!("the master sent {text:?}, which is no order: {error}");
            }
        };
        let message = match order {
            // Answered here and at once: the agent may be busy, and the answer's time is what is asked for.
            Order::ReadClock { sent_ns } => {
                let _ = reports.try_send(Report::Clock { sent_ns, clock_ns: now_ns() });
                continue;
            }
            Order::Welcome => Message::Connected(reports.clone()),
            order => Message::Order(order),
        };
        if messages.send(message).await.is_err() {
            return "the agent has ended".to_owned();
        }
    }
}

fn push_line(lines: &mut Vec<u8>, report: &Report) {
    serde_json::to_writer(&mut *lines, report).expect("a report is plain data, and memory takes it");
    lines.push(b'\n');
}
