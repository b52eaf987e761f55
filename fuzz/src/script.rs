//! An input, read as decisions.

/// What is left of an input. At its end every decision is 0.
pub struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    pub const fn new(input: &'a [u8]) -> Script<'a> {
        Script { rest: input }
    }

    pub const fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.rest.split_first().unwrap_or((&0, &[]));
        self.rest = rest;
        *first
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// One of `choices`, which are not empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// A number near 0, near a bound of the protocol, near the largest, or any.
    pub fn number(&mut self) -> u64 {
        let small = |script: &mut Self| u64::from(script.byte());
        match self.byte() % 6 {
            0 | 1 => small(self),
            2 => 128 + small(self) % 16,
            3 => (1 << 62) - 8 + small(self) % 16,
            4 => u64::MAX - small(self),
            _ => (u64::from(self.u32()) << 32) | u64::from(self.u32()),
        }
    }

    /// Up to `max` of the bytes that follow.
    pub fn bytes(&mut self, max: usize) -> &'a [u8] {
        let wanted = usize::from(self.u16()) % (max + 1);
        let (taken, rest) = self.rest.split_at(wanted.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}
