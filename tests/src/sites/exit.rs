//! What a hostile exit puts in the place of a site: something that passes on and alters what it sees, or
//! someone else's certificate. It listens on another loopback address and the site's own port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Journal, SECOND_HAND_HOST, Site, Sites, TestCa, serve, tls};

/// The address at which a hostile exit has its own servers.
pub const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Words that are put in the place of others.
#[derive(Debug, Clone, Copy)]
pub struct Swap {
    /// What the site says.
    pub from: &'static str,
    /// What is made of it: of the same length in bytes, so that no other field has to change.
    pub to: &'static str,
}

impl Sites {
    /// Passes everything on to a plain site, with words swapped when there are some; gives how often they
    /// were. So that they are seen, it asks for no content coding, whatever the client says.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn in_the_way(&self, site: &Site, swap: Option<Swap>) -> std::io::Result<Arc<AtomicU64>> {
        let listener = self.runtime().block_on(TcpListener::bind(SocketAddr::from((ELSEWHERE, site.port))))?;
        let (port, swapped) = (site.port, Arc::new(AtomicU64::new(0)));
        let count = swapped.clone();
        self.runtime().spawn(async move {
            loop {
                let Ok((near, _)) = listener.accept().await else { continue };
                let count = count.clone();
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
                    let (mut from, mut to) = near.into_split();
                    let (mut far_from, mut far_to) = far.into_split();
                    let coding = Swap { from: "Accept-Encoding: gzip, deflate", to: "Accept-Encoding: identity     " };
                    let asking = pass(&mut from, &mut far_to, swap.map(|_| coding), None);
                    let answering = pass(&mut far_from, &mut to, swap, Some(&count));
                    tokio::join!(asking, answering);
                });
            }
        });
        Ok(swapped)
    }

    /// The second-hand site's pages at an address and port, with a certificate for its host that nobody
    /// signed but itself, or an authority that nobody knows.
    ///
    /// # Errors
    /// When the port is taken (0 takes a free one) or no certificate can be made.
    pub fn impostor(&self, address: Ipv4Addr, port: u16, self_signed: bool) -> std::io::Result<Site> {
        let acceptor = if self_signed {
            tls::self_signed(SECOND_HAND_HOST)
        } else {
            TestCa::create()
                .map_err(Into::into)
                .and_then(|stranger| stranger.acceptor(SECOND_HAND_HOST, tls::Validity::Now))
        };
        let acceptor = acceptor.map_err(std::io::Error::other)?;
        let listener = self.runtime().block_on(TcpListener::bind(SocketAddr::from((address, port))))?;
        let site =
            Site { name: "impostor", port: listener.local_addr()?.port(), journal: Arc::new(Journal::default()) };
        let shop = self.shop();
        serve::spawn(self.runtime(), listener, site.journal.clone(), Some(acceptor), move |ask| shop.answer(ask));
        Ok(site)
    }
}

/// Passes bytes on until the end, and then the end.
async fn pass(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    swap: Option<Swap>,
    count: Option<&AtomicU64>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let bytes = &mut buffer[..read];
        if let Some(swap) = swap {
            let found = swapped(bytes, swap);
            if let Some(count) = count {
                count.fetch_add(found, Ordering::Relaxed);
            }
        }
        if to.write_all(bytes).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

/// Swaps words in place; gives how many. Sample pages come in one piece.
fn swapped(bytes: &mut [u8], swap: Swap) -> u64 {
    let (from, to) = (swap.from.as_bytes(), swap.to.as_bytes());
    assert_eq!(from.len(), to.len(), "words of different length");
    let mut found = 0;
    let mut at = 0;
    while let Some(place) = bytes[at..].windows(from.len()).position(|window| window == from) {
        bytes[at + place..][..to.len()].copy_from_slice(to);
        at += place + to.len();
        found += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_swapped_wherever_they_stand() {
        let mut bytes = b"sans facture, sans facture".to_vec();
        assert_eq!(swapped(&mut bytes, Swap { from: "sans", to: "avec" }), 2);
        assert_eq!(bytes, b"avec facture, avec facture");
        assert_eq!(swapped(&mut bytes, Swap { from: "sans", to: "avec" }), 0);
    }
}
