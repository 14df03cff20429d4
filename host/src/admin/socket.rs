//! The unix socket: made so that only its owner can open it, and that no other daemon loses its own.

use std::fs::{self, Permissions};
use std::io;
use std::mem;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::HOST;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;

/// How long a daemon that serves on the same path may take to say whether it drains.
const QUESTION: Duration = Duration::from_secs(2);

/// A listening socket. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file: a later daemon may have put another in its place.
    identity: (u64, u64),
    /// User id of this process, who may speak to it besides root.
    owner: u32,
    renewal: Renewal,
}

/// Asks the socket to make its file again where it is gone.
#[derive(Clone, Debug, Default)]
pub struct Renewal(Arc<Notify>);

impl Renewal {
    /// Asks for it; the socket does so as soon as it is served.
    pub fn renew(&self) {
        self.0.notify_one();
    }
}

/// Who speaks to it, as the kernel says (`SO_PEERCRED`, unix(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    /// `None`: it is of a PID namespace that cannot be seen.
    pub pid: Option<i32>,
}

/// Why there is no socket. The text says what to do.
#[derive(Debug, Error)]
pub enum SocketError {
    #[error("cannot make the folder {} for the admin socket: {source}; make it for the user that runs Shunt, or name another place with `admin.socket`", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("another Shunt{} serves on {}; end it first, or name another socket with `admin.socket`", pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(), path.display())]
    Taken { path: PathBuf, pid: Option<i32> },
    #[error("{} exists and is not a socket; remove it, or name another socket with `admin.socket`", .0.display())]
    NotASocket(PathBuf),
    #[error("cannot make the admin socket {}: {source}; {}", path.display(), remedy(source))]
    Bind { path: PathBuf, source: io::Error },
}

impl AdminSocket {
    /// Makes the socket, with mode 0600, and its folder where there is none. What a daemon left behind
    /// that did not end in order is replaced; one that another process serves on is not.
    ///
    /// # Errors
    /// See [`SocketError`]; nothing was changed then.
    pub async fn bind(path: &Path) -> Result<AdminSocket, SocketError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)
                .map_err(|source| SocketError::Folder { folder: folder.to_owned(), source })?;
        }
        let failed = |source| SocketError::Bind { path: path.to_owned(), source };
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                make_way(path).await?;
                UnixListener::bind(path)
            }
            bound => bound,
        }
        .map_err(failed)?;
        // Until the next line has run the file has the mode that the umask leaves; who connects in
        // between is looked at like everybody else, when it is accepted.
        let owned =
            fs::set_permissions(path, Permissions::from_mode(0o600)).and_then(|()| fs::metadata(path));
        match owned {
            Ok(file) => Ok(AdminSocket {
                listener,
                path: path.to_owned(),
                identity: (file.dev(), file.ino()),
                owner: file.uid(),
                renewal: Renewal::default(),
            }),
            Err(source) => {
                let _ = fs::remove_file(path);
                Err(failed(source))
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn renewal(&self) -> Renewal {
        self.renewal.clone()
    }

    /// Makes the file again where it is gone, or another has taken its place that no process serves on.
    async fn renew(&mut self) {
        if self.is_there() {
            return;
        }
        match AdminSocket::bind(&self.path).await {
            Ok(mut new) => {
                // What is dropped here is the old listener, and it knows that the file is not its own.
                mem::swap(&mut self.listener, &mut new.listener);
                mem::swap(&mut self.identity, &mut new.identity);
                tracing::info!(path = %self.path.display(), "the admin socket was gone and has been made again");
            }
            Err(error) => tracing::error!(%error, "the admin socket is gone and cannot be made again"),
        }
    }

    /// Whether the file is the one that was made here.
    fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.identity)
    }

    fn admits(&self, peer: &UCred) -> bool {
        peer.uid() == self.owner || peer.uid() == 0
    }
}

impl AdminSocket {
    /// The next client that is admitted.
    pub async fn accept(&mut self) -> (UnixStream, Peer) {
        loop {
            let renewal = self.renewal();
            let accepted = tokio::select! {
                accepted = self.listener.accept() => Some(accepted),
                () = renewal.0.notified() => None,
            };
            let stream = match accepted {
                Some(Ok((stream, _))) => stream,
                None => {
                    self.renew().await;
                    continue;
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "the admin socket cannot accept");
                    // It is out of files most likely, and to ask again at once would burn the processor.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            match stream.peer_cred() {
                Ok(peer) if self.admits(&peer) => {
                    return (stream, Peer { uid: peer.uid(), pid: peer.pid() });
                }
                Ok(peer) => tracing::warn!(uid = peer.uid(), pid = peer.pid(), "refused at the admin socket"),
                Err(error) => tracing::warn!(%error, "cannot find out who connects to the admin socket"),
            }
        }
    }

    // No process of another: who listens here.
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        if self.is_there()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the admin socket");
        }
    }
}

/// Removes a socket that no process serves on.
async fn make_way(path: &Path) -> Result<(), SocketError> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if !is_socket {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(path = %path.display(), "replacing the admin socket of a process that has ended");
            fs::remove_file(path).map_err(|source| SocketError::Bind { path: path.to_owned(), source })
        }
        answer => {
            let stream = answer.ok();
            let pid = stream.as_ref().and_then(|stream| stream.peer_cred().ok()).and_then(|peer| peer.pid());
            let drains = match stream {
                Some(stream) => tokio::time::timeout(QUESTION, is_draining(stream)).await.unwrap_or(false),
                None => false,
            };
            if !drains {
                return Err(SocketError::Taken { path: path.to_owned(), pid });
            }
            tracing::info!(pid, path = %path.display(), "taking over the admin socket of a process that drains");
            fs::remove_file(path).map_err(|source| SocketError::Bind { path: path.to_owned(), source })
        }
    }
}

/// Whether the daemon at the other end drains, and leaves its place to a successor.
async fn is_draining(stream: UnixStream) -> bool {
    let exchange = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        let request =
            Request::get("/v1/status").header(HOST, "localhost").body(Empty::<Bytes>::new()).ok()?;
        let answer = async move { sender.send_request(request).await.ok()?.into_body().collect().await.ok() };
        let (body, _) = tokio::join!(answer, connection);
        let status: serde_json::Value = serde_json::from_slice(&body?.to_bytes()).ok()?;
        status["draining"].as_bool()
    };
    exchange.await.unwrap_or(false)
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space there, or name another place with `admin.socket`"
        }
        // The limit is 107 bytes: the length of `sun_path`, unix(7), less its ending zero.
        io::ErrorKind::InvalidInput => "`admin.socket` may have 107 bytes at most",
        _ => "name another place with `admin.socket`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[tokio::test]
    async fn a_socket_is_its_owners_alone_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/folder/admin.sock");
        let socket = AdminSocket::bind(&path).await.unwrap();
        assert_eq!(mode(&path), 0o600);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_nobody_serves_on_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let socket = AdminSocket::bind(&path).await.unwrap();
        assert!(net::UnixStream::connect(&path).is_ok());
        drop(socket);
    }

    #[tokio::test]
    async fn a_daemon_that_serves_keeps_its_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let first = AdminSocket::bind(&path).await.unwrap();
        let error = AdminSocket::bind(&path).await.unwrap_err().to_string();
        let pid = std::process::id();
        assert!(
            error.starts_with(&format!("another Shunt (process {pid}) serves on {}", path.display())),
            "{error}"
        );
        assert!(net::UnixStream::connect(first.path()).is_ok());
    }

    #[tokio::test]
    async fn a_file_of_another_kind_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        fs::write(&path, "mine").unwrap();
        let error = AdminSocket::bind(&path).await.unwrap_err();
        assert!(matches!(error, SocketError::NotASocket(_)), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        // Nor is a folder made where a file stands in the way.
        let error = AdminSocket::bind(&path.join("admin.sock")).await.unwrap_err();
        assert!(matches!(error, SocketError::Folder { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let error = AdminSocket::bind(&folder.path().join("x".repeat(120))).await.unwrap_err().to_string();
        assert!(error.contains("107 bytes"), "{error}");
    }

    #[tokio::test]
    async fn the_socket_of_a_successor_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let first = AdminSocket::bind(&path).await.unwrap();
        fs::remove_file(&path).unwrap();
        let second = AdminSocket::bind(&path).await.unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn its_owner_and_root_are_admitted() {
        let folder = tempfile::tempdir().unwrap();
        let mut socket = AdminSocket::bind(&folder.path().join("admin.sock")).await.unwrap();
        let _client = net::UnixStream::connect(socket.path()).unwrap();
        let (stream, _) = socket.accept().await;
        let peer = stream.peer_cred().unwrap();
        assert!(socket.admits(&peer));
        socket.owner = peer.uid() + 1;
        assert_eq!(socket.admits(&peer), peer.uid() == 0);
    }
}
