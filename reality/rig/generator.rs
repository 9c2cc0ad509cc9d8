//! The load generator: `rustc -O generator.rs`. Draws what it sends as `src/reality/schedule.rs` draws it anew, sends it at
//! its time whatever the server does (or as users who think), and writes a row for each request. `measure.py` calls it.

use std::collections::HashMap;
use std::io::{BufWriter, Error, ErrorKind, Read, Result as Io, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
/// Who waits for an answer for longer counts as timed out.
const PATIENCE: Duration = Duration::from_secs(60);
const STACK: usize = 128 << 10;

/// One stream of splitmix64.
struct Stream(u64);

impl Stream {
    fn new(seed: u64, stream: u64) -> Stream {
        let apart = stream.wrapping_mul(0xD1B5_4A32_D192_ED03);
        let mut fresh = Stream(seed.wrapping_mul(GOLDEN) ^ apart);
        fresh.bits();
        fresh
    }
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }
    fn exponential(&mut self) -> f64 {
        -self.uniform().ln()
    }
    fn work_ms(&mut self, class: &Class) -> f64 {
        match class.law.as_str() {
            "exp" => self.exponential() * class.mean,
            "fixed" => {
                self.uniform();
                class.mean
            }
            _ => {
                let variance = (1.0 + class.cv * class.cv).ln();
                let radius = (-2.0 * self.uniform().ln()).sqrt();
                let normal = radius * (2.0 * std::f64::consts::PI * self.uniform()).cos();
                (class.mean.ln() - variance / 2.0 + variance.sqrt() * normal).exp()
            }
        }
    }
    fn choose(&mut self, sums: &[f64]) -> usize {
        let at = self.uniform() * sums[sums.len() - 1];
        sums.partition_point(|sum| *sum <= at).min(sums.len() - 1)
    }
}

#[derive(Clone)]
struct Class {
    weight: f64,
    path: String,
    law: String,
    mean: f64,
    cv: f64,
}

/// A request before it is sent.
struct Planned {
    at: f64,
    class: usize,
    ms: f64,
    key: usize,
    path: String,
}

struct Answer {
    /// 0 where the connection broke, 1 where nothing came in time.
    status: u32,
    body: String,
}

struct Connection {
    port: u16,
    fresh: bool,
    stream: Option<TcpStream>,
    read: Vec<u8>,
}

impl Connection {
    fn new(port: u16, fresh: bool) -> Connection {
        Connection { port, fresh, stream: None, read: Vec::new() }
    }
    fn open(&mut self) -> Io<()> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            self.stream = Some(stream);
        }
        Ok(())
    }
    /// A connection that was closed while it rested is opened again, once.
    fn ask(&mut self, path: &str) -> Answer {
        let rested = self.stream.is_some();
        let mut answer = self.ask_once(path);
        if rested && answer.as_ref().is_err_and(|error| error.kind() != ErrorKind::WouldBlock) {
            self.stream = None;
            answer = self.ask_once(path);
        }
        if self.fresh || answer.is_err() {
            self.stream = None;
        }
        answer.unwrap_or_else(|error| Answer {
            status: u32::from(error.kind() == ErrorKind::WouldBlock),
            body: String::new(),
        })
    }
    fn ask_once(&mut self, path: &str) -> Io<Answer> {
        self.open()?;
        let keep = if self.fresh { "close" } else { "keep-alive" };
        let asked = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {keep}\r\n\r\n");
        let stream = self.stream.as_mut().expect("it is open");
        stream.write_all(asked.as_bytes())?;
        self.read.clear();
        let mut chunk = [0; 4096];
        let mut more = |read: &mut Vec<u8>| match stream.read(&mut chunk)? {
            0 => Err(Error::other("closed")),
            count => Ok(read.extend_from_slice(&chunk[..count])),
        };
        let head = loop {
            more(&mut self.read)?;
            if let Some(end) = self.read.windows(4).position(|it| it == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = String::from_utf8_lossy(&self.read[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let end = head + length.and_then(|it| it.trim().parse::<usize>().ok()).unwrap_or(0);
        while self.read.len() < end {
            more(&mut self.read)?;
        }
        if text.contains("connection: close") {
            self.stream = None;
        }
        let status = text.get(9..12).and_then(|it| it.parse().ok()).unwrap_or(0);
        Ok(Answer { status, body: String::from_utf8_lossy(&self.read[head..end]).into_owned() })
    }
}

/// A number of an answer in JSON, as it stands there.
fn field(body: &str, name: &str) -> String {
    let key = format!("\"{name}\":");
    let number = |it: &char| it.is_ascii_digit() || ".-e+".contains(*it);
    body.split_once(&key).map(|(_, rest)| rest.chars().take_while(number).collect()).unwrap_or_default()
}

fn sleep_until(base: Instant, at: f64) {
    let left = (base + Duration::from_secs_f64(at)).saturating_duration_since(Instant::now());
    if !left.is_zero() {
        sleep(left);
    }
}

fn since(base: Instant) -> f64 {
    Instant::now().duration_since(base).as_secs_f64()
}

fn row(it: &Planned, start: f64, end: f64, answer: &Answer) -> String {
    let said: Vec<String> = ["acq", "db", "t", "kind"].map(|name| field(&answer.body, name)).into();
    let Planned { at, class, ms, key, .. } = it;
    format!("{class},{at:.6},{start:.6},{end:.6},{},{ms:.6},{},{key}", answer.status, said.join(","))
}

/// What `/proc` says of the machine and of processes: CPU ticks by kind, and CPU time of each (ns).
fn snapshot(pids: &[String]) -> String {
    let machine = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let mut said = machine.lines().next().unwrap_or_default().to_string();
    for pid in pids {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let spent = threads.filter_map(|thread| {
            let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        said += &format!("|{pid} {}", spent.sum::<u64>());
    }
    said
}

type Rows = Arc<Mutex<Vec<String>>>;

/// A user thinks, sends, waits for the answer. A timer of 1 ms: rounded up when it is set and when it is waited for.
fn user(
    number: u64,
    seed: u64,
    think_ms: f64,
    end: f64,
    classes: &[Class],
    mut connection: Connection,
    base: Instant,
) -> Vec<String> {
    let mut streams: Vec<Stream> = (0..3).map(|it| Stream::new(seed, 100 + 8 * number + it)).collect();
    let sums = sums(classes.iter().map(|it| it.weight));
    let (mut now, mut rows) = (0.0, Vec::new());
    let _ = connection.open();
    sleep_until(base, 0.0);
    loop {
        let at = now + streams[0].exponential() * think_ms / 1e3;
        if at >= end {
            return rows;
        }
        let class = streams[2].choose(&sums);
        let ms = streams[1].work_ms(&classes[class]);
        let left = (((at * 1e3).ceil() / 1e3 - since(base)) * 1e3).ceil() / 1e3;
        if think_ms > 0.0 && left > 0.0 {
            sleep(Duration::from_secs_f64(left));
        }
        let path = path(&classes[class], ms, 0);
        let it = Planned { at, class, ms, key: 0, path };
        let start = since(base);
        let answer = connection.ask(&it.path);
        now = since(base);
        rows.push(row(&it, start, now, &answer));
    }
}

fn path(class: &Class, ms: f64, key: usize) -> String {
    class.path.replace("{ms}", &format!("{ms:.6}")).replace("{key}", &key.to_string())
}

fn sums(weights: impl Iterator<Item = f64>) -> Vec<f64> {
    weights
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect()
}

/// What an open loop sends: a Poisson stream of piecewise constant rate.
fn plan(seed: u64, end: f64, segments: &[(f64, f64)], classes: &[Class], keys: &[f64]) -> Vec<Planned> {
    let stream = |number| Stream::new(seed, number);
    let (mut gaps, mut work, mut which, mut key) = (stream(1), stream(2), stream(3), stream(4));
    let weights = sums(classes.iter().map(|it| it.weight));
    let mut planned = Vec::new();
    let (mut now, mut left) = (0.0, gaps.exponential());
    for (place, (_, rate)) in segments.iter().enumerate() {
        let until = segments.get(place + 1).map_or(end, |next| next.0.min(end));
        while now + left / rate < until {
            now += left / rate;
            let class = which.choose(&weights);
            let (ms, key) = (work.work_ms(&classes[class]), key.choose(keys));
            planned.push(Planned { at: now, class, ms, key, path: path(&classes[class], ms, key) });
            left = gaps.exponential();
        }
        left -= (until - now) * rate;
        now = until;
    }
    planned
}

/// Who sends an open loop's requests: one waits for the next instant, others for answers; where nobody is left to wait for
/// the next, there is one more.
struct Senders {
    planned: Vec<Planned>,
    next: Mutex<usize>,
    idle: AtomicUsize,
    rows: Rows,
    more: Mutex<Vec<JoinHandle<()>>>,
    base: Instant,
    port: u16,
    fresh: bool,
}

impl Senders {
    fn start(self: &Arc<Self>, connection: Connection) {
        let senders = self.clone();
        let thread = Builder::new().stack_size(STACK).spawn(move || senders.send(connection));
        self.more.lock().unwrap().push(thread.expect("a thread"));
    }
    fn send(self: Arc<Self>, mut connection: Connection) {
        let mut rows = Vec::new();
        loop {
            self.idle.fetch_add(1, Ordering::SeqCst);
            let mut next = self.next.lock().unwrap();
            self.idle.fetch_sub(1, Ordering::SeqCst);
            let Some(it) = self.planned.get(*next) else { break };
            *next += 1;
            sleep_until(self.base, it.at);
            if self.idle.load(Ordering::SeqCst) == 0 {
                self.start(Connection::new(self.port, self.fresh));
            }
            drop(next);
            let start = since(self.base);
            let answer = connection.ask(&it.path);
            rows.push(row(it, start, since(self.base), &answer));
        }
        self.rows.lock().unwrap().extend(rows);
    }
    fn join(&self) {
        loop {
            let thread = self.more.lock().unwrap().pop();
            let Some(thread) = thread else { return };
            let _ = thread.join();
        }
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let given: HashMap<&str, &str> = words.chunks(2).map(|it| (it[0].as_str(), it[1].as_str())).collect();
    let text = |name: &str| given.get(name).copied().unwrap_or_default();
    let number = |name: &str| text(name).parse::<f64>().unwrap_or(0.0);
    let (port, seed, end) = (number("--port") as u16, text("--seed").parse().unwrap_or(1), number("--T"));
    let fresh = text("--fresh") == "1";
    let pids: Vec<String> = text("--pids").split(',').filter(|it| !it.is_empty()).map(String::from).collect();
    let class = |words: &str| {
        let each: Vec<&str> = words.split(',').collect();
        let number = |place: usize| each[place].parse().expect("a number");
        Class { weight: number(0), path: each[1].into(), law: each[2].into(), mean: number(3), cv: number(4) }
    };
    let classes: Vec<Class> = text("--classes").split(';').map(class).collect();
    let rows = Rows::default();
    let base;
    let mut users = Vec::new();
    let mut senders = None;
    if given.contains_key("--users") {
        base = Instant::now() + Duration::from_millis(100);
        for one in 0..number("--users") as u64 {
            let (classes, rows, think) = (classes.clone(), rows.clone(), number("--think"));
            let whole = move || {
                let said = user(one, seed, think, end, &classes, Connection::new(port, fresh), base);
                rows.lock().unwrap().extend(said);
            };
            users.push(Builder::new().stack_size(STACK).spawn(whole).expect("a thread"));
        }
    } else {
        let pair =
            |words: &str| words.split_once(':').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        let segments: Vec<(f64, f64)> = text("--segments").split(';').filter_map(pair).collect();
        let keys = pair(text("--zipf")).unwrap_or((1.0, 0.0));
        let keys = sums((1..=keys.0 as u64).map(|it| (it as f64).powf(-keys.1)));
        let planned = plan(seed, end, &segments, &classes, &keys);
        let ready = (0..number("--spare") as u64).map(|_| {
            let mut connection = Connection::new(port, fresh);
            let _ = if fresh { Ok(()) } else { connection.open() };
            connection
        });
        let ready: Vec<Connection> = ready.collect();
        base = Instant::now() + Duration::from_millis(100);
        let (next, idle, more) = Default::default();
        let all = Arc::new(Senders { planned, next, idle, rows: rows.clone(), more, base, port, fresh });
        ready.into_iter().for_each(|connection| all.start(connection));
        senders = Some(all);
    }
    let epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs_f64();
    let epoch = epoch + base.saturating_duration_since(Instant::now()).as_secs_f64();
    sleep_until(base, number("--warm"));
    let before = snapshot(&pids);
    sleep_until(base, end);
    let after = snapshot(&pids);
    users.into_iter().for_each(|it| drop(it.join()));
    senders.iter().for_each(|it| it.join());
    let file = std::fs::File::create(text("--out")).expect("a file");
    let mut file = BufWriter::new(file);
    writeln!(file, "#{epoch:.6}\n#{before}\n#{after}").expect("written");
    for row in rows.lock().unwrap().iter() {
        writeln!(file, "{row}").expect("written");
    }
}
