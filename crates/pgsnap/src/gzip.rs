//! gzip members (RFC 1952) as the archive needs them: whole blocks in, one complete member out.
//!
//! `libdeflater` does whole blocks about twice as fast as a streaming deflate at the same size;
//! `docs/architecture.md` has the numbers.

use libdeflater::{CompressionLvl, Compressor, Decompressor};

use crate::archive::reserve;
use crate::error::{Error, Result};

/// Compresses blocks into members, keeping its buffers between calls.
pub(crate) struct MemberCompressor {
    compressor: Compressor,
    buffer: Vec<u8>,
}

impl MemberCompressor {
    /// `level` is libdeflate's, 1 to 12; values outside are clamped.
    pub(crate) fn new(level: u8) -> Self {
        let level = CompressionLvl::new(i32::from(level.clamp(1, 12)))
            .expect("1 to 12 are levels of libdeflate");
        Self { compressor: Compressor::new(level), buffer: Vec::new() }
    }

    pub(crate) fn compress(&mut self, block: &[u8]) -> Vec<u8> {
        let bound = self.compressor.gzip_compress_bound(block.len());
        if bound > LARGEST_KEPT {
            // Fresh zeroes take no memory until they are written.
            let mut out = vec![0; bound];
            let length = self
                .compressor
                .gzip_compress(block, &mut out)
                .expect("the buffer has the size libdeflate asked for");
            out.truncate(length);
            out.shrink_to_fit();
            return out;
        }
        self.buffer.resize(bound, 0);
        let length = self
            .compressor
            .gzip_compress(block, &mut self.buffer)
            .expect("the buffer has the size libdeflate asked for");
        self.buffer[..length].to_vec()
    }
}

/// Buffers above this many bytes, which only a very long row needs, are given back after use.
pub(crate) const LARGEST_KEPT: usize = 64 << 20;

/// No deflate stream expands further than this (zlib's `deflate` documentation: 1032:1).
const MAX_EXPANSION: u64 = 1032;

/// Decompresses members, keeping its state between calls.
pub(crate) struct MemberDecompressor(Decompressor);

impl MemberDecompressor {
    pub(crate) fn new() -> Self {
        Self(Decompressor::new())
    }

    /// Decompresses exactly one member that holds exactly `raw` bytes. The member's CRC is checked.
    pub(crate) fn decompress(&mut self, member: &[u8], raw: u64) -> Result<Vec<u8>> {
        // `raw` comes from the manifest; it must not make us allocate what the member cannot hold.
        if raw > (member.len() as u64).saturating_mul(MAX_EXPANSION) {
            return Err(Error::damaged("a member claims more bytes than it can hold"));
        }
        // The member says it as well.
        if !member.ends_with(&(raw as u32).to_le_bytes()) {
            return Err(Error::damaged("a member has another length than the manifest says"));
        }
        let length = usize::try_from(raw).map_err(|_| Error::damaged("a member is too large"))?;
        let mut out = Vec::new();
        reserve(&mut out, length)?;
        out.resize(length, 0);
        let length = self
            .0
            .gzip_decompress(member, &mut out)
            .map_err(|error| Error::damaged(format!("a member cannot be decompressed: {error}")))?;
        if length != out.len() {
            return Err(Error::damaged("a member is shorter than the manifest says"));
        }
        // libdeflate ignores what follows the first gzip stream; gunzip would print it.
        if !member.ends_with(&trailer(&out)) {
            return Err(Error::damaged("a member does not end with its own checksum"));
        }
        Ok(out)
    }
}

/// Returns the end of a member: CRC-32 and length modulo 2^32 of its contents (RFC 1952, section
/// 2.3.1).
fn trailer(content: &[u8]) -> [u8; 8] {
    let mut trailer = [0; 8];
    trailer[..4].copy_from_slice(&libdeflater::crc32(content).to_le_bytes());
    trailer[4..].copy_from_slice(&(content.len() as u32).to_le_bytes());
    trailer
}

/// A member of predictable size: one stored deflate block. Only for payloads under 64 KiB.
pub(crate) fn stored_member(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("callers store short payloads only");
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1];
    member.extend_from_slice(&length.to_le_bytes());
    member.extend_from_slice(&(!length).to_le_bytes());
    member.extend_from_slice(payload);
    member.extend_from_slice(&trailer(payload));
    member
}

/// The overhead of a stored member over its payload.
pub(crate) const STORED_OVERHEAD: usize = 10 + 5 + 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    #[test]
    fn members_in_a_row_are_one_gzip_file() {
        let mut compressor = MemberCompressor::new(1);
        let mut file = compressor.compress(b"first ");
        file.extend(compressor.compress(b"second "));
        file.extend(stored_member(b"third"));
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(&file[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "first second third");
        assert_eq!(stored_member(b"third").len(), 5 + STORED_OVERHEAD);
    }

    #[test]
    fn a_member_cannot_make_the_reader_allocate_without_bound() {
        let member = MemberCompressor::new(1).compress(b"x");
        let error = MemberDecompressor::new().decompress(&member, u64::MAX).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }));
    }

    #[test]
    fn a_member_that_claims_another_length_than_it_has_takes_no_memory() {
        let member = MemberCompressor::new(9).compress(&vec![0; 8 << 20]);
        for claim in [6 << 20, (8 << 20) - 1] {
            let error = MemberDecompressor::new().decompress(&member, claim).unwrap_err();
            assert!(error.to_string().contains("another length"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(block in prop::collection::vec(any::<u8>(), 0..4096), level in 0u8..20) {
            let member = MemberCompressor::new(level).compress(&block);
            prop_assert_eq!(MemberDecompressor::new().decompress(&member, block.len() as u64).unwrap(), block);
        }

        #[test]
        fn a_flipped_bit_never_passes(at in 0usize..1000, bit in 0u8..8) {
            let block = b"row one\nrow two\nrow three\n".repeat(8);
            let mut member = MemberCompressor::new(6).compress(&block);
            let at = at % member.len();
            member[at] ^= 1 << bit;
            // Some header bits (mtime, OS) carry no content; content must be right or refused.
            if let Ok(out) = MemberDecompressor::new().decompress(&member, block.len() as u64) {
                prop_assert_eq!(out, block);
            }
        }
    }
}
