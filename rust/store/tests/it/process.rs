//! Real processes to kill: this test binary runs itself.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

/// In a worker's environment: the root it works on.
const ROOT: &str = "STORE_TEST_WORKER_ROOT";

/// A worker process, killed when dropped.
pub(crate) struct Worker(Child);

impl Worker {
    /// In a worker: the root to work on. None in an ordinary test run, which passes workers by.
    pub(crate) fn root() -> Option<PathBuf> {
        std::env::var_os(ROOT).map(PathBuf::from)
    }

    /// Runs `test` of this binary as a worker on `root`; what it says comes through `lines`, and None when it ends.
    pub(crate) fn start(
        test: &str,
        root: &Path,
        environment: impl IntoIterator<Item = (&'static str, String)>,
        lines: mpsc::Sender<Option<String>>,
    ) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(ROOT, root)
            .envs(environment)
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines() {
                let _ = lines.send(Some(line.unwrap()));
            }
            let _ = lines.send(None);
        });
        Self(child)
    }

    /// Kills it; it must have been alive until now.
    pub(crate) fn kill(mut self) {
        assert_eq!(self.0.try_wait().unwrap(), None, "a worker ended by itself");
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
