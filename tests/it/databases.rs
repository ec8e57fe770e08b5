//! Real database servers, private to a test run: own port, own data folder, stopped and removed
//! when the tests end, however they end.
//!
//! Debian's `postgresql` and `mariadb-server`; `./test` installs them. The variable
//! `STIGG_IMPORT_TEST_WITHOUT_DATABASES=1` leaves out the tests that need them.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// The password of each server's user `stigg`, with characters that an address has to escape.
pub const PASSWORD: &str = "s3cret/pw@1";
const PASSWORD_ESCAPED: &str = "s3cret%2Fpw%401";

/// Starts a server and waits: for its end, or for that of the tests, when standard input ends.
const KEEPER: &str = r#"
dir=$1; signal=$2; shift 2
"$@" >"$dir/log" 2>&1 </dev/null &
pid=$!
echo "$pid" >"$dir/pid"
cat >/dev/null
kill "-$signal" "$pid" 2>/dev/null
wait "$pid"
rm -rf "$dir"
"#;

/// Whether to leave out tests with servers; says so.
#[allow(clippy::print_stderr, reason = "a test that is left out has to say so")]
pub fn left_out() -> bool {
    let out = std::env::var_os("STIGG_IMPORT_TEST_WITHOUT_DATABASES").is_some_and(|value| value == "1");
    if out {
        eprintln!("left out, as STIGG_IMPORT_TEST_WITHOUT_DATABASES=1: this test needs Postgres and MariaDB");
    }
    out
}

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Postgres,
    MariaDb,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    engine: Engine,
    folder: PathBuf,
    port: u16,
    keeper: Child,
}

/// The server that all tests share, with Chinook loaded. For what kills it, start another.
pub fn shared(engine: Engine) -> &'static Server {
    static SHARED: [OnceLock<Server>; 2] = [OnceLock::new(), OnceLock::new()];
    SHARED[engine as usize].get_or_init(|| {
        let server = Server::start(engine);
        server.load_chinook();
        server
    })
}

impl Server {
    /// A new server with an empty database `test` and a user `stigg`.
    pub fn start(engine: Engine) -> Self {
        let folder = tempfile::Builder::new().prefix("stigg-import-db-").tempdir().expect("a folder").keep();
        let data = folder.join("data");
        run(Command::new("chmod").arg("755").arg(&folder));
        certify(&folder);
        match engine {
            Engine::Postgres => {
                let password = folder.join("password");
                fs::write(&password, PASSWORD).expect("a file");
                give(&folder, "postgres");
                let mut initdb = as_user("postgres", &postgres_program("initdb"));
                initdb.arg("-D").arg(&data).arg(format!("--pwfile={}", password.display()));
                let arguments = "--username=stigg --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync";
                run(initdb.args(arguments.split(' ')));
            }
            Engine::MariaDb => {
                fs::create_dir(&data).expect("a folder");
                give(&folder, "mysql");
                let mut install = as_user("mysql", &program("mariadb-install-db", &["/usr/bin"]));
                let arguments = "--no-defaults --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve --innodb-flush-method=nosync";
                run(install.args(arguments.split(' ')).arg(format!("--datadir={}", data.display())));
            }
        }
        let port = free_port();
        let keeper = keep(engine, &folder, port);
        let server = Self { engine, folder, port, keeper };
        server.wait_until_it_answers();
        match engine {
            Engine::Postgres => server.run_sql("postgres", "CREATE DATABASE test"),
            Engine::MariaDb => server.run_sql(
                "mysql",
                &format!(
                    "CREATE DATABASE test; CREATE USER stigg@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';
                     CREATE USER stigg@localhost IDENTIFIED BY '{PASSWORD}';
                     GRANT ALL ON *.* TO stigg@'127.0.0.1'; GRANT ALL ON *.* TO stigg@localhost"
                ),
            ),
        }
        server
    }

    /// Ends the server at once, as a power cut would.
    pub fn kill(&self) {
        let signal = match self.engine {
            // Its children would go on for a while after SIGKILL.
            Engine::Postgres => "-QUIT",
            Engine::MariaDb => "-KILL",
        };
        let pid = fs::read_to_string(self.folder.join("pid")).expect("it was started");
        run(Command::new("kill").arg(signal).arg(pid.trim()));
        wait("the server to end", || !Path::new("/proc").join(pid.trim()).join("fd/0").exists());
    }

    /// Starts it again after [`Self::kill`], with its data.
    pub fn start_again(&mut self) {
        // The old keeper stays until the tests end; it has no server any more.
        let keeper = keep(self.engine, &self.folder, self.port);
        std::mem::forget(std::mem::replace(&mut self.keeper, keeper));
        self.wait_until_it_answers();
    }

    /// The address of a database.
    pub fn url(&self, database: &str) -> String {
        let scheme = match self.engine {
            Engine::Postgres => "postgres",
            Engine::MariaDb => "mariadb",
        };
        format!("{scheme}://stigg:{PASSWORD_ESCAPED}@127.0.0.1:{}/{database}", self.port)
    }

    /// The file of the certificate that it shows, for 127.0.0.1.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs statements with the server's own client.
    pub fn run_sql(&self, database: &str, sql: &str) {
        self.client(database, sql);
    }

    /// What the server's own client prints: a line for each row, a tab between cells.
    pub fn client(&self, database: &str, sql: &str) -> String {
        let mut command = match self.engine {
            Engine::Postgres => {
                let mut command = Command::new("psql");
                command.env("PGTZ", "UTC").env("PGCLIENTENCODING", "UTF8");
                command.args(["-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-P", "null=NULL"]);
                command.arg("-h").arg(&self.folder).arg("-p").arg(self.port.to_string());
                command.args(["-U", "stigg", "-d", database]);
                command
            }
            Engine::MariaDb => {
                let mut command = Command::new("mariadb");
                command.args(["--no-defaults", "-u", "root", "-N", "-B", "--raw", "--default-character-set=utf8mb4"]);
                command.arg("--init-command=SET time_zone='+00:00'");
                command.arg("-S").arg(self.socket()).arg(database);
                command
            }
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} can't be run: {error}", command.get_program()));
        let mut input = child.stdin.take().expect("piped");
        let sql = sql.to_owned();
        let writer = thread::spawn(move || input.write_all(sql.as_bytes()));
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        writer.join().expect("no panic").expect("it reads all");
        String::from_utf8(output.stdout).expect("UTF-8").trim_end_matches('\n').to_owned()
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    fn load_chinook(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/chinook");
        let (database, file) = match self.engine {
            Engine::Postgres => ("postgres", "Chinook_PostgreSql.sql"),
            Engine::MariaDb => ("mysql", "Chinook_MySql.sql"),
        };
        self.run_sql(database, &fs::read_to_string(folder.join(file)).expect("it ships"));
    }

    fn wait_until_it_answers(&self) {
        wait(&format!("{:?} (see {})", self.engine, self.folder.join("log").display()), || {
            let mut probe = match self.engine {
                Engine::Postgres => {
                    let mut probe = Command::new(postgres_program("pg_isready"));
                    probe.arg("-h").arg(&self.folder).arg("-p").arg(self.port.to_string());
                    probe
                }
                Engine::MariaDb => {
                    let mut probe = Command::new("mariadb-admin");
                    probe.args(["--no-defaults", "-u", "root", "ping", "-S"]).arg(self.socket());
                    probe
                }
            };
            probe.output().is_ok_and(|output| output.status.success())
        });
    }
}

fn keep(engine: Engine, folder: &Path, port: u16) -> Child {
    let (user, signal) = match engine {
        Engine::Postgres => ("postgres", "QUIT"),
        Engine::MariaDb => ("mysql", "KILL"),
    };
    let data = folder.join("data");
    let server = match engine {
        Engine::Postgres => {
            let mut server = as_user(user, &postgres_program("postgres"));
            server.arg("-D").arg(&data).arg("-k").arg(folder).arg("-p").arg(port.to_string());
            server.args(["-h", "127.0.0.1", "-c", "fsync=off", "-c", "max_connections=100", "-c", "ssl=on"]);
            server.arg("-c").arg(format!("ssl_cert_file={}", folder.join("certificate.pem").display()));
            server.arg("-c").arg(format!("ssl_key_file={}", folder.join("key.pem").display()));
            server
        }
        Engine::MariaDb => {
            let mut server = as_user(user, &program("mariadbd", &["/usr/sbin", "/usr/libexec"]));
            server.arg("--no-defaults").arg(format!("--datadir={}", data.display()));
            server.arg(format!("--socket={}", folder.join("socket").display())).arg(format!("--port={port}"));
            server.args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--character-set-server=utf8mb4"]);
            server.args(["--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync"]);
            server.arg(format!("--ssl-cert={}", folder.join("certificate.pem").display()));
            server.arg(format!("--ssl-key={}", folder.join("key.pem").display()));
            server.arg(format!("--pid-file={}", folder.join("mariadb.pid").display()));
            server
        }
    };
    keep_running(&server, folder, signal)
}

/// Starts a server that ends with the tests, by this signal; its folder, which holds its log, goes with it.
pub fn keep_running(server: &Command, folder: &Path, signal: &str) -> Child {
    Command::new("bash")
        .args(["-c", KEEPER, "keeper"])
        .arg(folder)
        .arg(signal)
        .arg(server.get_program())
        .args(server.get_args())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("bash runs")
}

/// Servers refuse to run as root.
fn as_user(user: &str, program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups", "--"]).arg(program);
    command
}

/// A certificate for 127.0.0.1 that nobody else signed, and its key.
fn certify(folder: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test".split(' '));
    openssl.args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.arg("-keyout").arg(folder.join("key.pem")).arg("-out").arg(folder.join("certificate.pem"));
    run(&mut openssl);
    run(Command::new("chmod").arg("600").arg(folder.join("key.pem")));
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout == b"0\n"
}

fn give(folder: &Path, user: &str) {
    if is_root() {
        run(Command::new("chown").arg("-R").arg(user).arg(folder));
    }
}

fn postgres_program(name: &str) -> PathBuf {
    let mut folders: Vec<PathBuf> =
        glob::glob("/usr/lib/postgresql/*/bin").expect("a pattern").filter_map(Result::ok).collect();
    // The newest first.
    folders.sort_by_key(|folder| {
        std::cmp::Reverse(folder.iter().rev().nth(1).and_then(|version| version.to_str()?.parse::<u32>().ok()))
    });
    let folders: Vec<&str> = folders.iter().filter_map(|folder| folder.to_str()).collect();
    program(name, &folders)
}

fn program(name: &str, folders: &[&str]) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    folders.iter().copied().chain(path.split(':')).map(|folder| Path::new(folder).join(name)).find(|file| file.exists()).unwrap_or_else(
        || panic!("`{name}` is missing: install Debian's postgresql and mariadb-server (./test does), or leave these tests out with STIGG_IMPORT_TEST_WITHOUT_DATABASES=1"),
    )
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port()
}

pub fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited for {what} for a minute");
        thread::sleep(Duration::from_millis(50));
    }
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
