//! Files of every kind, and commands.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};

use super::*;

const HOME: Hooked<'_> = Hooked { site: "home", run: "r1" };

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, text: impl AsRef<[u8]>) -> RedirectTable {
        fs_err::write(self.path("hub.env"), text).unwrap();
        self.redirect("hub.env")
    }

    fn redirect(&self, name: &str) -> RedirectTable {
        let file = self.path(name).display().to_string();
        toml::from_str(&format!("file = '{file}'\nset = 'API=http://new'")).unwrap()
    }

    fn text(&self) -> String {
        fs_err::read_to_string(self.path("hub.env")).unwrap()
    }
}

fn mode(path: &Path) -> u32 {
    fs_err::metadata(path).unwrap().mode() & 0o7777
}

async fn refused(redirect: &RedirectTable) -> String {
    let answer = is_led(redirect, &HOME).await;
    let error = lead(redirect, &HOME).await.unwrap_err();
    let said = Failure::of(&error).to_string();
    let Answer::Unknown(reason) = answer else { panic!("{answer:?}: {said}") };
    assert!(said.contains(&reason), "{said} / {reason}");
    assert!(said.starts_with("error: cannot lead clients to site `home`\n"), "{said}");
    said
}

#[tokio::test]
async fn a_line_leads_clients_and_the_file_stays_what_it_was() {
    let place = Place::new();
    let redirect = place.file("# clients\nAPI=http://old\nB=2\n");
    fs_err::set_permissions(place.path("hub.env"), Permissions::from_mode(0o640)).unwrap();
    assert_eq!(is_led(&redirect, &HOME).await, Answer::No);
    lead(&redirect, &HOME).await.unwrap();
    assert_eq!(place.text(), "# clients\nAPI=http://new\nB=2\n");
    assert_eq!(mode(&place.path("hub.env")), 0o640);
    assert_eq!(is_led(&redirect, &HOME).await, Answer::Yes);
    let before = fs_err::metadata(place.path("hub.env")).unwrap().ino();
    lead(&redirect, &HOME).await.unwrap();
    assert_eq!(fs_err::metadata(place.path("hub.env")).unwrap().ino(), before);
    let names = fs_err::read_dir(place.0.path()).unwrap().count();
    assert_eq!(names, 1);
}

#[tokio::test]
async fn a_missing_file_is_created_for_its_owner_alone() {
    let place = Place::new();
    let redirect = place.redirect("hub.env");
    assert_eq!(is_led(&redirect, &HOME).await, Answer::No);
    lead(&redirect, &HOME).await.unwrap();
    assert_eq!((place.text().as_str(), mode(&place.path("hub.env"))), ("API=http://new\n", 0o600));
    let error = lead(&place.redirect("missing/hub.env"), &HOME).await.unwrap_err();
    assert!(format!("{error:#}").contains("missing/hub.env"), "{error:#}");
}

#[tokio::test]
async fn the_file_behind_a_link_is_replaced_and_the_link_stays() {
    let place = Place::new();
    place.file("API=http://old\n");
    fs_err::os::unix::fs::symlink("hub.env", place.path("link")).unwrap();
    let redirect = place.redirect("link");
    assert_eq!(is_led(&redirect, &HOME).await, Answer::No);
    lead(&redirect, &HOME).await.unwrap();
    assert_eq!(place.text(), "API=http://new\n");
    assert!(fs_err::symlink_metadata(place.path("link")).unwrap().is_symlink());
    assert_eq!(is_led(&redirect, &HOME).await, Answer::Yes);

    fs_err::os::unix::fs::symlink("gone", place.path("dangling")).unwrap();
    let said = refused(&place.redirect("dangling")).await;
    assert!(
        said.contains("is a link to a file that is missing") && said.contains("hint"),
        "{said}"
    );
}

#[tokio::test]
async fn what_is_not_understood_or_not_ours_is_refused_and_stays() {
    let place = Place::new();
    for (bytes, said) in [
        (&b"API=http://old\nB=\xff\n"[..], "is not UTF-8 text"),
        (&b"B=\"one\nAPI=http://old\n\"\n"[..], "has a value of several lines (line 1)"),
    ] {
        let refusal = refused(&place.file(bytes)).await;
        assert!(refusal.contains(said), "{refusal}");
        assert_eq!(fs_err::read(place.path("hub.env")).unwrap(), bytes);
    }
    let redirect = place.file("API=http://old\n");
    fs_err::set_permissions(place.path("hub.env"), Permissions::from_mode(0o666)).unwrap();
    let refusal = refused(&redirect).await;
    assert!(refusal.contains("may be changed by others") && refusal.contains("chmod"), "{refusal}");
    assert_eq!(place.text(), "API=http://old\n");

    fs_err::create_dir(place.path("directory")).unwrap();
    let refusal = refused(&place.redirect("directory")).await;
    assert!(refusal.contains("is a directory"), "{refusal}");
}

#[tokio::test]
async fn the_owner_and_the_group_stay_where_root_edits() {
    if !geteuid().is_root() {
        return testkit::skip("root may give files away");
    }
    let place = Place::new();
    let redirect = place.file("API=http://old\n");
    chown(place.path("hub.env"), Some(4321), Some(1234)).unwrap();
    chown(place.0.path(), Some(4321), Some(4321)).unwrap();
    lead(&redirect, &HOME).await.unwrap();
    let found = fs_err::metadata(place.path("hub.env")).unwrap();
    assert_eq!((found.uid(), found.gid()), (4321, 1234));
    assert_eq!(place.text(), "API=http://new\n");
}

#[tokio::test]
async fn a_command_leads_and_another_one_checks() {
    let place = Place::new();
    let mark = place.path("mark").display().to_string();
    let redirect: RedirectTable =
        toml::from_str(&format!("command = ['touch', '{mark}']\ncheck = ['test', '-e', '{mark}']"))
            .unwrap();
    assert_eq!(is_led(&redirect, &HOME).await, Answer::No);
    lead(&redirect, &HOME).await.unwrap();
    assert_eq!(is_led(&redirect, &HOME).await, Answer::Yes);
    let broken: RedirectTable =
        toml::from_str("command = ['sh', '-c', 'echo no route; exit 4']\ncheck = ['false']")
            .unwrap();
    let said = Failure::of(&lead(&broken, &HOME).await.unwrap_err()).to_string();
    assert!(said.contains("caused by: `sh …` ended with exit code 4: no route"), "{said}");
    let neither: RedirectTable = toml::from_str("command = ['true']").unwrap();
    assert!(matches!(is_led(&neither, &HOME).await, Answer::Unknown(_)));
}
