//! Without privileges the errors say which are needed.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use shunt_sys::netlink::{Editor, Netlink, Solicitor};
use shunt_sys::raw::Sender;
use shunt_sys::tun::Tun;
use shunt_sys::xdp::Steering;
use shunt_sys::xsk::{Options, Socket};

use crate::namespace::{link, run, within};

/// Set for the process that has no privileges.
const NOBODY: &str = "SHUNT_TEST_NOBODY";
/// Of the user `nobody`: the kernel's overflow user.
const ID: u32 = 65_534;

#[test]
fn nobody_is_told_what_is_missing() {
    if std::env::var_os(NOBODY).is_some() {
        return ask_as_nobody();
    }
    within("a process that is not root", || {
        // The folder of this program may not be for everybody.
        let folder = std::env::temp_dir().join(format!("shunt-nobody-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let program = folder.join("kernel");
        // By another process: what this one has open for writing, or a child of another test that has
        // inherited it, cannot be run.
        run("cp", &format!("{} {}", std::env::current_exe().unwrap().display(), program.display()));
        let output = Command::new(&program)
            .args(["privilege::nobody_is_told_what_is_missing", "--exact", "--nocapture"])
            .env(NOBODY, "1")
            .uid(ID)
            .gid(ID)
            .output();
        fs::remove_dir_all(&folder).unwrap();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

fn ask_as_nobody() {
    let lo = link("lo");
    let error = Steering::load().err().unwrap().to_string();
    assert!(error.contains("CAP_BPF") && error.contains("run as root"), "{error}");
    let options = Options { frames: 64 };
    let small = shunt_sys::netlink::Link { mtu: 1500, ..lo.clone() };
    let error = Socket::open(&small, 0, options).err().unwrap().to_string();
    assert!(error.contains("CAP_NET_RAW"), "{error}");
    let error = Sender::open(&lo).err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    let error = Solicitor::open().unwrap().solicit(1, [127, 0, 0, 2].into()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    let error = Editor::open().unwrap().bring_up(1).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    let error = Tun::create("mine").err().unwrap().to_string();
    assert!(error.contains("CAP_NET_ADMIN"), "{error}");
    // Looking is free.
    assert_eq!(Netlink::open().unwrap().state().links[&1].name, "lo");
}
