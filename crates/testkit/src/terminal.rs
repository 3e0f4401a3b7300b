//! A terminal with a program in it: what it draws, what is typed, how wide it is.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Until something is drawn, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pseudoterminal that a program runs in, as its controlling one.
#[derive(Debug)]
pub struct Terminal {
    keyboard: File,
    child: Child,
    drawn: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

/// The end of a program in a terminal.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code, if it was not killed.
    pub code: Option<i32>,
    /// Everything that it wrote, with control sequences.
    pub drawn: String,
}

impl Terminal {
    /// Runs the command with its directory and nothing but its own variables. It needs `setsid`.
    ///
    /// # Errors
    /// If there is no terminal, or no such program.
    pub fn run(command: &Command, columns: u16) -> io::Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        tcsetwinsize(&master, size(columns))?;
        let peer = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        let mut inside = Command::new("setsid");
        inside.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        inside.env_clear().env("TERM", "xterm");
        let set = command.get_envs();
        inside.envs(set.filter_map(|(name, value)| Some((name, value?))));
        if let Some(directory) = command.get_current_dir() {
            inside.current_dir(directory);
        }
        let stream = || peer.try_clone().map(Stdio::from);
        inside.stdin(stream()?).stdout(stream()?).stderr(stream()?);
        let child = inside.spawn()?;
        drop((peer, inside));
        let drawn = Arc::default();
        let reader = collect(master.try_clone()?, Arc::clone(&drawn));
        Ok(Self { keyboard: File::from(master), child, drawn, reader })
    }

    /// Types; `\r` is the key at the end of a line, `\x03` is Ctrl-C.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn keys(&mut self, keys: &str) -> io::Result<()> {
        self.keyboard.write_all(keys.as_bytes())
    }

    /// Makes the terminal wider or narrower; the program is told by a signal.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn resize(&self, columns: u16) -> io::Result<()> {
        Ok(tcsetwinsize(&self.keyboard, size(columns))?)
    }

    /// Everything drawn so far, with control sequences.
    #[must_use]
    pub fn drawn(&self) -> String {
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&drawn).into_owned()
    }

    /// Waits until this was drawn.
    ///
    /// # Panics
    /// If it never is.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.drawn().contains(text) {
            assert!(Instant::now() < deadline, "no `{text}`: {:?}", self.drawn());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the program ends.
    ///
    /// # Panics
    /// If it never does.
    #[track_caller]
    pub fn end(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                panic!("it does not end: {:?}", self.drawn());
            }
            thread::sleep(Duration::from_millis(10));
        };
        // Nobody holds the other side any more.
        let _ = self.reader.join();
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        Ended { code: status.code(), drawn: String::from_utf8_lossy(&drawn).into_owned() }
    }
}

fn size(columns: u16) -> Winsize {
    Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn collect(master: OwnedFd, drawn: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    let mut master = File::from(master);
    thread::spawn(move || {
        let mut piece = [0; 4096];
        // The end is an error, EIO.
        while let Ok(read @ 1..) = master.read(&mut piece) {
            let mut drawn = drawn.lock().unwrap_or_else(PoisonError::into_inner);
            drawn.extend_from_slice(&piece[..read]);
        }
    })
}

/// The lines of a terminal after all this was drawn, the last ones of the scrolled ones included.
/// Lines that are too long wrap.
///
/// It knows what progress bars and shells draw: carriage returns, line ends, cursor movements, and
/// clearing.
#[must_use]
pub fn screen(drawn: &str, columns: u16) -> Vec<String> {
    let columns = usize::from(columns);
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut rest = drawn.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\r' => column = 0,
            '\n' => row += 1,
            '\x08' => column = column.saturating_sub(1),
            '\x1b' => {
                if rest.next_if_eq(&'[').is_none() {
                    rest.next();
                    continue;
                }
                let mut number = String::new();
                while let Some(digit) = rest.next_if(|c| !c.is_ascii_alphabetic()) {
                    number.push(digit);
                }
                let count: usize = number.parse().unwrap_or(1);
                match rest.next() {
                    Some('A') => row = row.saturating_sub(count),
                    Some('B') => row += count,
                    Some('C') => column += count,
                    Some('D') => column = column.saturating_sub(count),
                    Some('G') => column = count.saturating_sub(1),
                    Some('K') if number == "2" => lines[row].clear(),
                    Some('K') => lines[row].truncate(column),
                    Some('J') => {
                        lines[row].truncate(column);
                        lines.truncate(row + 1);
                    }
                    _ => {}
                }
            }
            other if other.is_control() => {}
            other => {
                if column >= columns {
                    (row, column) = (row + 1, 0);
                }
                while lines.len() <= row {
                    lines.push(Vec::new());
                }
                while lines[row].len() <= column {
                    lines[row].push(' ');
                }
                lines[row][column] = other;
                column += 1;
            }
        }
        while lines.len() <= row {
            lines.push(Vec::new());
        }
    }
    lines
        .into_iter()
        .map(|line| line.into_iter().collect::<String>().trim_end().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_shows_what_is_left() {
        assert_eq!(screen("ab\rc\nd\r\n", 10), ["cb", " d", ""]);
        assert_eq!(screen("12345", 3), ["123", "45"]);
        assert_eq!(screen("bar 12%\x1b[2K\rdone\r\n", 20), ["done", ""]);
        assert_eq!(screen("a\r\nb\x1b[1A\r\x1b[Jc", 20), ["c"]);
    }

    #[test]
    fn a_program_in_a_terminal_is_typed_to() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "tty >/dev/null && read line && echo \"<$line>\"; stty size"]);
        shell.env("PATH", "/usr/bin:/bin");
        let mut terminal = Terminal::run(&shell, 57).unwrap();
        terminal.keys("hello\r").unwrap();
        let ended = terminal.end();
        assert_eq!(ended.code, Some(0), "{}", ended.drawn);
        assert!(ended.drawn.contains("<hello>"), "{}", ended.drawn);
        assert!(ended.drawn.contains("24 57"), "{}", ended.drawn);
    }
}
