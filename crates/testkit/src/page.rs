//! Pages with parts that are measured.

use std::path::Path;

/// Replaces what stands between the markers `<!-- bench NAME: begin -->` and
/// `<!-- bench NAME: end -->` of a page.
///
/// # Panics
///
/// If the page cannot be read or written, or has no such markers.
pub fn write_between_markers(page: &Path, name: &str, text: &str) {
    let begin = format!("<!-- bench {name}: begin -->\n");
    let end = format!("<!-- bench {name}: end -->");
    let old = fs_err::read_to_string(page).expect("the page can be read");
    let (before, rest) = old.split_once(&begin).expect("it has a begin marker");
    let (_, after) = rest.split_once(&end).expect("it has an end marker");
    let new = format!("{before}{begin}\n{text}\n{end}{after}");
    fs_err::write(page, new).expect("the page can be written");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let page = "a\n<!-- bench x: begin -->\nold\n<!-- bench x: end -->\nb\n";
        fs_err::write(file.path(), page).expect("written");
        write_between_markers(file.path(), "x", "new");
        let page = fs_err::read_to_string(file.path()).expect("read");
        assert_eq!(page, "a\n<!-- bench x: begin -->\n\nnew\n<!-- bench x: end -->\nb\n");
    }
}
