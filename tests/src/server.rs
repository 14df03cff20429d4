//! Servers of others, started on loopback as members. A test that needs one which is not installed is skipped.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot continue says so and ends")]

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::address;
use crate::daemon::{Folder, until};

/// Answers every request with 200, whatever its method and body.
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
    server {
        listen ADDRESS;
        location / { return 200 'nginx'; }
    }
}
";

const NODE: &str = "\
require('http').createServer((request, response) => {
    let length = 0;
    request.on('data', (piece) => { length += piece.length; });
    request.on('end', () => { response.end(`node took ${length}`); });
}).listen(PORT, 'IP');
";

/// A server that runs. It is ended when this is dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    _folder: Folder,
}

impl Server {
    /// nginx, which answers by the head and does not wait for the body.
    #[must_use]
    pub fn nginx() -> Option<Server> {
        Server::start("nginx", "nginx.conf", NGINX, |command, folder| {
            command.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
        })
    }

    /// The HTTP server of Node, which reads the whole body before it answers.
    #[must_use]
    pub fn node() -> Option<Server> {
        Server::start("node", "server.js", NODE, |command, folder| {
            command.arg(folder.path().join("server.js"));
        })
    }

    fn start(
        program: &str,
        file: &str,
        content: &str,
        arguments: impl FnOnce(&mut Command, &Folder),
    ) -> Option<Server> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian keeps servers where the path of an ordinary user does not lead.
        let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
        let Some(found) = folders.map(|it| it.join(program)).find(|it| it.is_file()) else {
            println!("skipped: {program} is not installed");
            return None;
        };
        let (address, folder) = (address::free(), Folder::new());
        let content = content.replace("ADDRESS", &address.to_string());
        let content = content.replace("PORT", &address.port().to_string());
        folder.write(file, content.replace("IP", &address.ip().to_string()));
        let mut command = Command::new(found);
        arguments(&mut command, &folder);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let server = Server { child: child.expect("a server that starts"), address, _folder: folder };
        until(&format!("{program} accepts connections"), || TcpStream::connect(address).is_ok());
        Some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("a server does not end: {error}");
        }
    }
}
