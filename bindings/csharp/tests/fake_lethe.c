/* A liblethe of another ABI: it says so, and has nothing else. */
unsigned lethe_abi_version(void) { return FAKE_ABI; }
