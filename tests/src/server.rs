//! Servers of others, started on loopback as members. A test that needs one which is not installed is skipped.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot continue says so and ends")]

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::address;
use crate::daemon::{Folder, until};

/// `HTTP` stands for what a test wants of it.
const NGINX: &str = "\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    HTTP
}
";

const NODE: &str = "\
const [host, port] = 'ADDRESS'.split(':');
require('http').createServer((request, response) => {
    let length = 0;
    request.on('data', (piece) => { length += piece.length; });
    request.on('end', () => { response.end(`node took ${length}`); });
}).listen(port, host);
";

/// Takes bodies by their length, and refuses those for `/refuse` without reading them.
const WSGI: &str = "\
def app(environ, start_response):
    if environ['PATH_INFO'] == '/refuse':
        start_response('413 Content Too Large', [('Content-Length', '3')])
        return [b'big']
    taken = len(environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0)))
    body = b'took %d' % taken
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

/// The same by the other interface of Python's servers.
const ASGI: &str = "\
async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    status, taken, more = 200, 0, scope['path'] != '/refuse'
    while more:
        event = await receive()
        taken += len(event.get('body', b''))
        more = event.get('more_body', False)
    if scope['path'] == '/refuse':
        status, body = 413, b'big'
    else:
        body = b'took %d' % taken
    await send({'type': 'http.response.start', 'status': status,
                'headers': [(b'content-length', str(len(body)).encode())]})
    await send({'type': 'http.response.body', 'body': body})
";

/// What is got from PyPI; the next versions are others' to try.
const PYTHON: [&str; 5] =
    ["gunicorn==27.0.1", "uvicorn==0.54.0", "hypercorn==0.18.0", "waitress==3.0.2", "grpcio==1.85.3"];

/// Where what is got for tests is kept: beside what was built.
fn cache() -> PathBuf {
    let program = std::env::current_exe().expect("a test that runs");
    program.ancestors().nth(3).expect("the folder of what is built").join("servers")
}

/// The folder of programs of an environment of Python with these servers, made once and kept; `None`: there is no
/// Python, or nothing can be got.
#[must_use]
pub fn python() -> Option<&'static Path> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = || {
        let folder = cache().join("python");
        let run = |program: &Path, arguments: &[&str]| {
            Command::new(program).args(arguments).status().is_ok_and(|status| status.success())
        };
        let (programs, done) = (folder.join("bin"), folder.join(PYTHON.join(",")));
        if !done.is_file() {
            let made = run(Path::new("python3"), &["-m", "venv", folder.to_str()?])
                && run(&programs.join("pip"), &[&["install", "--quiet"], &PYTHON[..]].concat())
                && std::fs::write(done, "").is_ok();
            if !made {
                println!("skipped: the servers of Python cannot be got");
                return None;
            }
        }
        Some(programs)
    };
    MADE.get_or_init(make).as_deref()
}

/// A server that runs. It is ended when this is dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    _folder: Folder,
}

impl Server {
    /// nginx, which answers every request with 200 by its head, and does not wait for the body.
    #[must_use]
    pub fn nginx() -> Option<Server> {
        Server::nginx_with("server { listen ADDRESS; location / { return 200 'nginx'; } }")
    }

    /// nginx with this in its block `http`.
    #[must_use]
    pub fn nginx_with(http: &str) -> Option<Server> {
        Server::start("nginx", "nginx.conf", &NGINX.replace("HTTP", http), |command, folder| {
            command.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
        })
    }

    /// BIND with this zone `test`.
    #[must_use]
    pub fn named(zone: &str) -> Option<Server> {
        // It listens on addresses of interfaces alone.
        let address =
            UdpSocket::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port that is free");
        let found = find("named")?;
        Some(Server::run_at(address, &found, "zone", zone, |command, folder, address| {
            let (ip, port, at) = (address.ip(), address.port(), folder.path().display());
            let file = folder.write(
                "named.conf",
                format!(
                    "options {{ directory \"{at}\"; listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }}; recursion no; \
                     dnssec-validation no; pid-file none; session-keyfile \"{at}/session\"; }};\n\
                     controls {{}};\nzone \"test\" {{ type primary; file \"{at}/zone\"; }};\n"
                ),
            );
            command.arg("-c").arg(file).args(["-f", "-4"]).stderr(Stdio::null());
        }))
    }

    /// dnsmasq with these records.
    #[must_use]
    pub fn dnsmasq(records: &str) -> Option<Server> {
        Server::start("dnsmasq", "address", "ADDRESS", |command, folder| {
            let text = std::fs::read_to_string(folder.path().join("address")).expect("a file of its own");
            let (ip, port) = text.split_once(':').expect("an address of IPv4");
            let file = folder.write("dnsmasq.conf", format!(
                "no-resolv\nno-hosts\nbind-interfaces\nlisten-address={ip}\nport={port}\nlocal=/test/\npid-file\n{records}"
            ));
            command.arg("-C").arg(file).args(["--keep-in-foreground", "--log-facility=/dev/null"]);
        })
    }

    /// The HTTP server of Node, which reads the whole body before it answers.
    #[must_use]
    pub fn node() -> Option<Server> {
        Server::start("node", "server.js", NODE, |command, folder| {
            command.arg(folder.path().join("server.js"));
        })
    }

    /// gunicorn with threads, which closes a connection after 2 seconds and does not read what it refuses.
    #[must_use]
    pub fn gunicorn() -> Option<Server> {
        Server::of_python(
            "gunicorn",
            "app.py",
            WSGI,
            &["--worker-class", "gthread", "--threads", "16", "--bind", "ADDRESS", "app:app"],
        )
    }

    /// waitress, which sends content behind the answer to HEAD.
    #[must_use]
    pub fn waitress() -> Option<Server> {
        Server::of_python("waitress-serve", "app.py", WSGI, &["--listen", "ADDRESS", "app:app"])
    }

    /// uvicorn, which closes a connection after 5 seconds.
    #[must_use]
    pub fn uvicorn() -> Option<Server> {
        Server::of_python(
            "uvicorn",
            "app.py",
            ASGI,
            &["--host", "IP", "--port", "NUMBER", "--log-level", "error", "app:app"],
        )
    }

    /// hypercorn, which closes a connection after 5 seconds and does not read what it refuses.
    #[must_use]
    pub fn hypercorn() -> Option<Server> {
        Server::of_python("hypercorn", "app.py", ASGI, &["--workers", "0", "--bind", "ADDRESS", "app:app"])
    }

    /// A script with a gRPC server.
    #[must_use]
    pub fn grpc(script: &str) -> Option<Server> {
        Server::of_python("python", "server.py", script, &["server.py"])
    }

    fn of_python(program: &str, file: &str, content: &str, arguments: &[&str]) -> Option<Server> {
        let program = python()?.join(program);
        let run = |command: &mut Command, folder: &Folder, address: SocketAddr| {
            let (ip, port) = (address.ip().to_string(), address.port().to_string());
            let filled = |it: &&str| match *it {
                "ADDRESS" => address.to_string(),
                "IP" => ip.clone(),
                "NUMBER" => port.clone(),
                other => other.to_owned(),
            };
            command.current_dir(folder.path()).args(arguments.iter().map(filled));
        };
        Some(Server::run(&program, file, content, run))
    }

    /// Another program; in `content`, `ADDRESS` stands for where it is to listen, `HOST` and `PORT` for its parts.
    pub fn start(
        program: &str,
        file: &str,
        content: &str,
        arguments: impl FnOnce(&mut Command, &Folder),
    ) -> Option<Server> {
        let found = find(program)?;
        Some(Server::run(&found, file, content, |command, folder, _| arguments(command, folder)))
    }

    fn run(
        program: &Path,
        file: &str,
        content: &str,
        arguments: impl FnOnce(&mut Command, &Folder, SocketAddr),
    ) -> Server {
        Server::run_at(address::free(), program, file, content, arguments)
    }

    fn run_at(
        address: SocketAddr,
        program: &Path,
        file: &str,
        content: &str,
        arguments: impl FnOnce(&mut Command, &Folder, SocketAddr),
    ) -> Server {
        let folder = Folder::new();
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let content = content.replace("ADDRESS", &address.to_string());
        folder.write(file, content.replace("HOST", &host).replace("PORT", &port));
        let mut command = Command::new(program);
        arguments(&mut command, &folder, address);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let server = Server { child: child.expect("a server that starts"), address, _folder: folder };
        until(&format!("{} accepts connections", program.display()), || TcpStream::connect(address).is_ok());
        server
    }
}

/// Where a program is; a test that needs one which is not there says that it is skipped.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers where the path of an ordinary user does not lead.
    let mut folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = folders.find_map(|it| Some(it.join(program)).filter(|it| it.is_file()));
    if found.is_none() {
        println!("skipped: {program} is not installed");
    }
    found
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("a server does not end: {error}");
        }
    }
}
