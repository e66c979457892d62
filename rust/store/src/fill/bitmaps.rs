//! The bitmaps of a fill's `state`: which blocks are present ahead of the frontier, and which are wanted.
//!
//! Only the owner sets *present*, after a block's bytes are in the file; a set bit is never cleared while readers may look. Anybody
//! sets *wanted*, and rings the bell that the owner listens to.

use std::ops::Range;
use std::sync::atomic::Ordering;

use super::state::State;

const PRESENT: usize = 4096;
const WANTED: usize = 36864;
/// Words of a bitmap.
const WORDS: usize = 4096;
/// Blocks of a bitmap.
const BLOCKS: u64 = 64 * WORDS as u64;

/// The bits of `blocks` in each word that has any.
fn masks(blocks: Range<u64>) -> impl Iterator<Item = (usize, u64)> {
    let end = blocks.end.min(BLOCKS);
    let mut at = blocks.start;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let (word, first) = (at / 64, at % 64);
        let last = end.min(64 * (word + 1)) - 64 * word;
        at = 64 * word + last;
        Some((usize::try_from(word).ok()?, (u64::MAX >> (64 - (last - first))) << first))
    })
}

impl State {
    /// Whether a block is in the file, ahead of the frontier.
    pub(crate) fn is_present(&self, block: u64) -> bool {
        self.has(PRESENT, block)
    }

    /// Whether somebody waits for a block that is not there.
    pub(crate) fn is_wanted(&self, block: u64) -> bool {
        self.has(WANTED, block) && !self.is_present(block)
    }

    fn has(&self, map: usize, block: u64) -> bool {
        block < BLOCKS
            && usize::try_from(block / 64).is_ok_and(|word| self.load(map + 8 * word) & (1 << (block % 64)) != 0)
    }

    /// The bytes of these blocks are in the file.
    pub(crate) fn set_present(&self, blocks: Range<u64>) {
        for (word, mask) in masks(blocks) {
            self.word(PRESENT + 8 * word).fetch_or(mask.to_le(), Ordering::Release);
        }
    }

    /// Wants these blocks and rings, if one of them was not wanted before.
    pub(crate) fn want_blocks(&self, blocks: Range<u64>) -> bool {
        let mut news = false;
        for (word, mask) in masks(blocks) {
            let old = u64::from_le(self.word(WANTED + 8 * word).fetch_or(mask.to_le(), Ordering::AcqRel));
            news |= mask & !old & !self.load(PRESENT + 8 * word) != 0;
        }
        if news {
            self.ring();
        }
        news
    }

    /// Nobody waits for any block.
    pub(crate) fn clear_wanted(&self) {
        (0..WORDS).for_each(|word| self.store(WANTED + 8 * word, 0));
    }

    /// The file is about to lose all blocks past the frontier.
    pub(crate) fn clear_present(&self) {
        (0..WORDS).for_each(|word| self.store(PRESENT + 8 * word, 0));
    }

    /// The first block from `block` on that is wanted and absent.
    pub(crate) fn next_wanted(&self, block: u64) -> Option<u64> {
        first(block, |word| self.load(WANTED + 8 * word) & !self.load(PRESENT + 8 * word))
    }

    /// The first block from `block` on that is present.
    pub(crate) fn next_present(&self, block: u64) -> Option<u64> {
        first(block, |word| self.load(PRESENT + 8 * word))
    }

    /// The first block from `block` on that is absent.
    pub(crate) fn next_absent(&self, block: u64) -> u64 {
        first(block, |word| !self.load(PRESENT + 8 * word)).unwrap_or(BLOCKS)
    }

    /// How far bytes are present from `position` on, up to `end`; `position` if there are none.
    pub(crate) fn present_until(&self, position: u64, end: u64) -> u64 {
        let block = self.block();
        let first = position / block;
        let absent = if self.is_present(first) { self.next_absent(first) } else { first };
        absent.saturating_mul(block).min(end).max(position)
    }

    /// Bytes that are present at or past the block of `position`, if all blocks were whole.
    pub(crate) fn present_bytes(&self, position: u64) -> u64 {
        let mut count = 0;
        for (word, mask) in masks(position / self.block()..BLOCKS) {
            count += u64::from((self.load(PRESENT + 8 * word) & mask).count_ones());
        }
        count * self.block()
    }

    /// Bytes that are there, in order or not; of blocks ahead of the frontier, the last counts as whole.
    pub(crate) fn had(&self) -> u64 {
        let frontier = self.frontier();
        let had = frontier + self.present_bytes(frontier.next_multiple_of(self.block()));
        self.size().map_or(had, |size| had.min(size))
    }

    /// The bitmap of present blocks, without the zeros at its end.
    pub(crate) fn present(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..WORDS).flat_map(|word| self.load(PRESENT + 8 * word).to_le_bytes()).collect();
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        bytes
    }

    /// Takes over a bitmap of present blocks of the same file, as far as the file has them.
    pub(crate) fn restore_present(&self, bitmap: &[u8], length: u64) {
        let (Some(size), block) = (self.size(), self.block()) else { return };
        for (index, byte) in bitmap.iter().enumerate() {
            for bit in (0..8).filter(|bit| byte & (1 << bit) != 0) {
                let number = 8 * index as u64 + bit;
                if number * block < size && ((number + 1) * block).min(size) <= length {
                    self.set_present(number..number + 1);
                }
            }
        }
    }
}

/// The first bit from `block` on in a bitmap that is read by words.
fn first(block: u64, load: impl Fn(usize) -> u64) -> Option<u64> {
    masks(block..BLOCKS).find_map(|(word, mask)| {
        let bits = load(word) & mask;
        (bits != 0).then(|| 64 * word as u64 + u64::from(bits.trailing_zeros()))
    })
}

#[cfg(test)]
mod tests {
    use super::super::machine::Mark;
    use super::*;
    use crate::fs;
    use crate::layout::Layout;

    fn state(size: u64) -> (tempfile::TempDir, State) {
        let root = tempfile::tempdir().unwrap();
        let digest = crate::Digest::parse(&format!("sha256:{}", "00".repeat(32))).unwrap();
        let folder = Layout::new(root.path()).fill(&digest);
        fs::make_folder(folder.path()).unwrap();
        let state = State::create(&folder, Mark { data: 1, offset: 0, size: Some(size) }, &[6; 105]).unwrap();
        (root, state)
    }

    #[test]
    fn bits_are_found_again() {
        let (_root, state) = state(1 << 30);
        for blocks in [3..5, 63..66, 127..128, 200..400] {
            assert_eq!(state.next_present(blocks.start), None);
            state.set_present(blocks.clone());
            assert_eq!(state.next_present(blocks.start.saturating_sub(1)), Some(blocks.start));
            assert_eq!(state.next_absent(blocks.start), blocks.end);
            assert!(blocks.clone().all(|block| state.is_present(block)));
            assert!(!state.is_present(blocks.start - 1) && !state.is_present(blocks.end));
            let block = state.block();
            assert_eq!(state.present_until(blocks.start * block + 7, 1 << 30), blocks.end * block);
            assert_eq!(
                state.present_until(blocks.start * block + 7, blocks.start * block + 9),
                blocks.start * block + 9
            );
        }
        assert_eq!(state.present_bytes(0), (2 + 3 + 1 + 200) << 15);
        assert_eq!(state.next_absent(BLOCKS), BLOCKS);
        assert_eq!(state.next_present(BLOCKS + 9), None);
    }

    #[test]
    fn only_a_block_that_nobody_wanted_rings() {
        let (_root, state) = state(1 << 30);
        assert!(state.want_blocks(60..70));
        let bell = state.bell();
        assert!(!state.want_blocks(61..69) && state.bell() == bell);
        assert_eq!(state.next_wanted(0), Some(60));
        state.set_present(60..65);
        assert_eq!(state.next_wanted(0), Some(65));
        assert!(!state.is_wanted(64) && state.is_wanted(65));
        assert!(!state.want_blocks(62..63), "it is there");
        state.clear_wanted();
        assert_eq!(state.next_wanted(0), None);
    }

    #[test]
    fn i5_a_file_that_lost_its_end_lost_those_blocks() {
        let (_root, first) = state(10 * 32768 + 1);
        first.set_present(2..4);
        first.set_present(9..11);
        let (_other, second) = state(10 * 32768 + 1);
        second.restore_present(&first.present(), 10 * 32768 + 1);
        assert_eq!(second.present(), first.present());
        let (_other, second) = state(10 * 32768 + 1);
        second.restore_present(&first.present(), 10 * 32768);
        assert!(second.is_present(9) && !second.is_present(10));
        second.restore_present(&vec![0xFF; 40000], u64::MAX);
        assert!(second.is_present(10) && !second.is_present(11));
    }
}
