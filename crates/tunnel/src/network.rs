//! Changes of this machine's addresses and routes, as the kernel tells them (rtnetlink(7)).

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use tokio::io::unix::AsyncFd;

/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV4_ROUTE`, `RTMGRP_IPV6_IFADDR` and
/// `RTMGRP_IPV6_ROUTE`.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// The messages of one change arrive within this time.
const SETTLING: Duration = Duration::from_millis(200);

/// A socket on which the kernel tells of changes. What they are does not matter.
#[derive(Debug)]
pub(crate) struct Network {
    socket: AsyncFd<OwnedFd>,
}

impl Network {
    #[expect(
        deprecated,
        reason = "its successor is unsafe; it was deprecated for types that may close their descriptor early, which OwnedFd does not"
    )]
    pub(crate) fn watch() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Without a protocol it is NETLINK_ROUTE.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        Ok(Self { socket: AsyncFd::new(socket)? })
    }

    /// Waits for a change, and for what comes with it.
    pub(crate) async fn changed(&self) -> io::Result<()> {
        self.message().await?;
        let settling = async { while self.message().await.is_ok() {} };
        let _ = tokio::time::timeout(SETTLING, settling).await;
        Ok(())
    }

    async fn message(&self) -> io::Result<()> {
        let mut message = [0; 8192];
        loop {
            let mut ready = self.socket.readable().await?;
            let read = ready.try_io(|socket| Ok(rustix::io::read(socket, &mut message)?));
            match read {
                Ok(Ok(_)) => return Ok(()),
                // More changed than the socket holds: that is a change as well.
                Ok(Err(error))
                    if error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) =>
                {
                    return Ok(());
                }
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
    }
}
