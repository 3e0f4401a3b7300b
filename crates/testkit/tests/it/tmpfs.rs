//! The small file system is small, and gone when it is dropped.

use std::io::ErrorKind;

use testkit::Tmpfs;

const CAP_SYS_ADMIN: u64 = 1 << 21;

/// The capabilities of this process, as `/proc/self/status` prints them.
fn capabilities() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}

#[test]
fn a_tmpfs_is_full_when_its_size_is_reached_and_gone_when_dropped() {
    let Some(disk) = Tmpfs::mount(1024 * 1024) else {
        assert_eq!(capabilities() & CAP_SYS_ADMIN, 0, "this process may mount");
        return;
    };
    let path = disk.path().to_owned();
    fs_err::write(path.join("fits"), vec![1; 512 * 1024]).unwrap();
    let error = fs_err::write(path.join("does-not"), vec![1; 2 * 1024 * 1024]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    drop(disk);
    assert!(!path.exists());
    let mounts = fs_err::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(path.to_str().unwrap()));
}
