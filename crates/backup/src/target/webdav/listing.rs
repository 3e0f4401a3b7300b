//! What a server answers to PROPFIND: a multi-status of RFC 4918, section 13.

use percent_encoding::percent_decode_str;
use roxmltree::{Document, Node, ParsingOptions};
use url::Url;

use super::super::http::unexpected;
use super::super::{RemoteFile, TargetFailure};

/// A listing has several nodes for each file, and no more files than that are of use.
const MOST_NODES: u32 = 2_000_000;

/// The files among the answers; folders, such as the one that was asked about, are left out, and so
/// is what has no length or no name, or may not be read: it is not ours.
pub(super) fn parse(text: &str, asked: &Url) -> Result<Vec<RemoteFile>, TargetFailure> {
    let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| match error {
        roxmltree::Error::NodesLimitReached => {
            TargetFailure::TooLong { limit: u64::from(MOST_NODES), unit: "nodes of XML" }
        }
        _ => unexpected("a listing that is not XML"),
    })?;
    let root = document.root_element();
    if !is_dav(root, "multistatus") {
        return Err(unexpected("what is no listing of a folder"));
    }
    let answers = root.children().filter(|node| is_dav(*node, "response"));
    Ok(answers.filter_map(|answer| file(answer, asked)).collect())
}

fn file(answer: Node<'_, '_>, asked: &Url) -> Option<RemoteFile> {
    let find = |name| answer.descendants().find(|node| is_dav(*node, name));
    if find("collection").is_some() {
        return None;
    }
    let named = find("href")
        .and_then(|href| href.text())
        .and_then(|href| asked.join(href.trim()).ok())
        .and_then(|url| url.path_segments()?.next_back().map(str::to_owned));
    let length = find("getcontentlength")
        .and_then(|length| length.text())
        .and_then(|length| length.trim().parse().ok());
    let name = named.filter(|name| !name.is_empty())?;
    Some(RemoteFile {
        name: percent_decode_str(&name).decode_utf8_lossy().into_owned(),
        bytes: length?,
    })
}

fn is_dav(node: Node<'_, '_>, name: &str) -> bool {
    node.tag_name().namespace() == Some("DAV:") && node.tag_name().name() == name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<RemoteFile>, TargetFailure> {
        parse(text, &Url::parse("https://h.example/dav/hub/").unwrap())
    }

    #[test]
    fn files_are_found_by_any_prefix_path_or_address() {
        let text = r#"<D:multistatus xmlns:D="DAV:" xmlns:lp1="DAV:">
          <D:response><D:href>/dav/hub/</D:href><D:propstat><D:prop><lp1:resourcetype><D:collection/></lp1:resourcetype></D:prop></D:propstat></D:response>
          <D:response><D:href>/dav/hub/a%20b%2Bc.age</D:href><D:propstat><D:prop><lp1:getcontentlength>12</lp1:getcontentlength><lp1:resourcetype/></D:prop></D:propstat></D:response>
          <D:response><D:href>https://h.example/dav/hub/x.json</D:href><D:propstat><D:prop><lp1:getcontentlength> 3 </lp1:getcontentlength></D:prop></D:propstat></D:response>
        </D:multistatus>"#;
        let file = |name: &str, bytes| RemoteFile { name: name.to_owned(), bytes };
        assert_eq!(parsed(text).unwrap(), [file("a b+c.age", 12), file("x.json", 3)]);
    }

    #[test]
    fn a_foreign_entry_without_length_or_leave_to_read_it_is_skipped() {
        let text = r#"<d:multistatus xmlns:d="DAV:">
          <d:response><d:href>/dav/hub/pipe</d:href><d:propstat><d:prop><d:resourcetype/></d:prop></d:propstat></d:response>
          <d:response><d:href>/dav/hub/private</d:href><d:status>HTTP/1.1 403 Forbidden</d:status></d:response>
          <d:response><d:href>/dav/hub/odd</d:href><d:propstat><d:prop><d:getcontentlength>many</d:getcontentlength></d:prop></d:propstat></d:response>
          <d:response><d:href>/dav/hub/x.json</d:href><d:propstat><d:prop><d:getcontentlength>3</d:getcontentlength></d:prop></d:propstat></d:response>
        </d:multistatus>"#;
        let found: Vec<String> = parsed(text).unwrap().into_iter().map(|file| file.name).collect();
        assert_eq!(found, ["x.json"]);
    }

    #[test]
    fn a_page_for_people_is_no_empty_folder() {
        for text in ["<html><body>Log in</body></html>", "not XML at all"] {
            assert!(matches!(parsed(text), Err(TargetFailure::Unexpected { .. })), "{text}");
        }
    }
}
