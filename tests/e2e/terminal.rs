//! Ctrl-C at a terminal: the text that remains on the screen, and the state of the terminal.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
    time::timeout,
};

use crate::{
    program::home,
    support::{
        image::Image,
        registry::{Class, Fault, Registry, Rule},
    },
};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_clears_the_bars_and_reports_the_result() {
    let from = Registry::plain().await;
    let to = Registry::plain().await;
    let image = Image::new("linux/amd64").virtual_layers(&[64 << 20]);
    image.load(&from, "team/big", "1");
    // The registry receives the layer, but does not answer.
    to.rule(
        Rule::on(Class::UploadPut)
            .forever()
            .applied()
            .then(Fault::Stall),
    );
    let home = home();
    let line = format!(
        "trap : INT; stty cols 120 rows 30; {} publish -t {} {}; echo \"code $?\"; stty -a",
        env!("CARGO_BIN_EXE_polyarch"),
        to.reference("team/big", "1"),
        from.reference("team/big", "1")
    );
    let mut script = Command::new("script")
        .args(["-qec", &line, "typescript"])
        .current_dir(home.path(""))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path(""))
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("script must be installed for this test");
    let mut keyboard = script.stdin.take().expect("a pipe");
    let mut screen = script.stdout.take().expect("a pipe");
    let mut shown = Vec::new();
    let mut more = async |shown: &mut Vec<u8>| {
        let read = timeout(LIMIT, screen.read_buf(shown)).await;
        read.expect("something within a minute")
            .expect("a terminal")
    };
    while !String::from_utf8_lossy(&shown).contains("[=") {
        assert!(more(&mut shown).await > 0, "no bar was shown");
    }
    let before = shown.len();
    keyboard.write_all(b"\x03").await.expect("a key");
    while more(&mut shown).await > 0 {}
    drop(keyboard);
    let all = String::from_utf8_lossy(&shown).into_owned();
    let after = String::from_utf8_lossy(&shown[before..]).into_owned();

    assert!(after.contains("code 130"), "{after:?}");
    let (bars, message) = after.split_once("interrupted").expect("the error");
    assert!(message.contains("no tag was changed"), "{after:?}");
    // The lines of the bars are cleared before the error is written, and nothing is drawn after it.
    assert!(
        bars.contains("\x1b[2K") || bars.contains("\x1b[J"),
        "{after:?}"
    );
    assert!(!message.contains("[="), "{after:?}");
    // The cursor is visible, and the settings of the terminal are unchanged.
    let (hidden, visible) = (all.rfind("\x1b[?25l"), all.rfind("\x1b[?25h"));
    assert!(hidden <= visible, "{all:?}");
    assert!(
        message.contains(" echo ") && message.contains(" icanon "),
        "{after:?}"
    );
    assert_eq!(to.uploads(), 0);
    assert_eq!(to.tag("team/big", "1"), None);
}
