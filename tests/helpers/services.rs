//! Real servers of one test, on ports that the system chooses, ended with it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use super::eventually;

/// A server that runs.
pub(crate) struct Service {
    pub(crate) port: u16,
    child: Child,
    _folder: TempDir,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(mut command: Command, port: u16, folder: TempDir) -> Service {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs it"));
    eventually("the server listens", || TcpStream::connect(("127.0.0.1", port)).ok());
    Service { port, child, _folder: folder }
}

/// Redis, with a password.
pub(crate) fn redis(password: &str) -> Service {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--save", "", "--requirepass", password, "--port"])
        .arg(port.to_string())
        .current_dir(folder.path());
    start(command, port, folder)
}

/// Prometheus, which knows only what a query makes up.
pub(crate) fn prometheus() -> Service {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let config = folder.path().join("prometheus.yml");
    fs::write(&config, "global: {scrape_interval: 1h}\n").unwrap();
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    start(command, port, folder)
}

/// PostgreSQL, with the user `probe` and the password `probe-pass`.
pub(crate) fn postgres() -> Service {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let programs = fs::read_dir("/usr/lib/postgresql")
        .unwrap_or_else(|error| panic!("postgresql: {error}; tests/run installs it"))
        .map(|entry| entry.unwrap().path().join("bin"))
        .max()
        .unwrap();
    let password = folder.path().join("password");
    fs::write(&password, "probe-pass").unwrap();
    // It refuses to run as root.
    let is_root = rustix::process::getuid().is_root();
    if is_root {
        let owned = Command::new("chown").args(["-R", "postgres"]).arg(folder.path()).status().unwrap();
        assert!(owned.success());
    }
    let data: PathBuf = folder.path().join("data");
    let program = |name: &str| {
        let path = programs.join(name);
        if !is_root {
            return Command::new(path);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(path);
        command
    };
    let made = program("initdb")
        .args(["--auth=scram-sha-256", "--username=probe", "--no-sync", "--locale=C", "--encoding=UTF8"])
        .arg(format!("--pwfile={}", password.display()))
        .arg("-D")
        .arg(&data)
        .current_dir("/")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut command = program("postgres");
    command
        .arg("-D")
        .arg(&data)
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k"])
        .arg(folder.path())
        .arg("-p")
        .arg(port.to_string())
        .current_dir("/");
    let service = start(command, port, folder);
    // It listens a moment before it answers.
    eventually("the database answers", || {
        let asked = Command::new(programs.join("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &service.port.to_string()])
            .status();
        asked.ok().filter(std::process::ExitStatus::success)
    });
    service
}

/// A TLS server for `localhost` with a certificate for so many days: its port, and the file of its authority.
pub(crate) fn tls(days: i64, folder: &std::path::Path) -> (u16, PathBuf) {
    use rcgen::{CertificateParams, DnType, KeyPair};
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "probe test");
    let now = std::time::SystemTime::now();
    let day = std::time::Duration::from_secs(86_400);
    params.not_before = (now - 10 * day).into();
    params.not_after = if days >= 0 {
        (now + day * u32::try_from(days).unwrap() + day / 2).into()
    } else {
        (now - day * u32::try_from(-days).unwrap() + day / 2).into()
    };
    let certificate = params.self_signed(&key).unwrap();
    let authority = folder.join(format!("authority{days}.pem"));
    fs::write(&authority, certificate.pem()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            tokio_rustls::rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move { drop(acceptor.accept(stream).await) });
            }
        });
    });
    (port, authority)
}
