//! Programs that Shunt starts.

use std::io;
use std::process::Child;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Kills a program that was started with a process group of its own (`process_group(0)`), and what it started in turn and
/// left in that group. It must not have been waited for: its number then still names its group, even where it has ended.
///
/// # Errors
/// Nothing of the group is left.
pub fn kill_group(leader: &Child) -> io::Result<()> {
    let group = i32::try_from(leader.id()).map_err(io::Error::other)?;
    Ok(killpg(Pid::from_raw(group), Signal::SIGKILL)?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_a_program_started_ends_with_it() {
        let mut program = Command::new("/bin/sh");
        // The second program ends at once, and leaves what it started.
        for (script, ended) in [("sleep 1000 & echo; wait", false), ("sleep 1000 & echo", true)] {
            let mut leader =
                program.args(["-c", script]).stdout(Stdio::piped()).process_group(0).spawn().unwrap();
            let mut output = leader.stdout.take().unwrap();
            output.read_exact(&mut [0]).unwrap();
            kill_group(&leader).unwrap();
            // The pipe ends with the last program that has it.
            assert_eq!(output.read(&mut [0]).unwrap(), 0);
            let status = leader.wait().unwrap();
            assert!(ended || !status.success());
            program = Command::new("/bin/sh");
        }
    }
}
