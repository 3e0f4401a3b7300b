//! The terminal that progress is drawn on, so that nothing of it stays.
//!
//! A line that is filled to the margin would stay above the `^C` that a terminal echoes. A terminal
//! that becomes narrower breaks a line in two, and only the second would be cleared.

use std::io::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::TermLike;

/// The width of the terminal on stderr where there is none.
const DEFAULT_WIDTH: usize = 80;

/// The columns of the terminal on stderr.
pub(crate) fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    size.map(|size| usize::from(size.ws_col))
        .ok()
        .filter(|columns| *columns > 0)
        .unwrap_or(DEFAULT_WIDTH)
}

/// Stderr, which is written to when a drawing is complete.
#[derive(Debug)]
pub(crate) struct Canvas {
    width: fn() -> usize,
    drawing: Mutex<Drawing>,
}

#[derive(Debug, Default)]
struct Drawing {
    text: String,
    /// The length of the line that the cursor is in.
    drawn: usize,
}

impl Canvas {
    pub(crate) fn new() -> Self {
        Self { width, drawing: Mutex::default() }
    }

    fn drawing(&self) -> MutexGuard<'_, Drawing> {
        self.drawing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sequence(&self, count: usize, letter: char) -> io::Result<()> {
        if count > 0 {
            self.drawing().text += &format!("\x1b[{count}{letter}");
        }
        Ok(())
    }

    /// Takes the text to write since the last time.
    fn take(&self) -> String {
        std::mem::take(&mut self.drawing().text)
    }
}

impl TermLike for Canvas {
    fn width(&self) -> u16 {
        u16::try_from((self.width)()).unwrap_or(u16::MAX)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.sequence(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.sequence(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.sequence(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.sequence(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        let mut drawing = self.drawing();
        drawing.text += text;
        drawing.text.push('\n');
        drawing.drawn = 0;
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        // Indicatif fills the line to its end.
        if text.bytes().all(|byte| byte == b' ') {
            return Ok(());
        }
        let mut drawing = self.drawing();
        drawing.text += text;
        drawing.drawn += text.chars().count();
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        let width = (self.width)().max(1);
        let mut drawing = self.drawing();
        let above = drawing.drawn.saturating_sub(1) / width;
        drawing.text += &match above {
            0 => "\r\x1b[2K".to_owned(),
            _ => format!("\r\x1b[{above}A\x1b[J"),
        };
        drawing.drawn = 0;
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let text = self.take();
        let mut stderr = io::stderr().lock();
        stderr.write_all(text.as_bytes())?;
        stderr.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_not_filled_to_the_margin() {
        let canvas = Canvas::new();
        canvas.write_str("load").unwrap();
        canvas.write_str("            ").unwrap();
        canvas.clear_line().unwrap();
        assert_eq!(canvas.take(), "load\r\x1b[2K");
    }

    #[test]
    fn a_line_that_a_narrower_terminal_breaks_is_cleared_as_a_whole() {
        let canvas = Canvas { width: || 10, ..Canvas::new() };
        for (line, cleared) in [
            ("0123456789", "\r\x1b[2K"),
            ("0123456789a", "\r\x1b[1A\x1b[J"),
            ("0123456789012345678901234", "\r\x1b[2A\x1b[J"),
        ] {
            canvas.write_str(line).unwrap();
            canvas.clear_line().unwrap();
            assert_eq!(canvas.take(), format!("{line}{cleared}"));
        }
        canvas.clear_line().unwrap();
        assert_eq!(canvas.take(), "\r\x1b[2K");
    }
}
