//! The process's WebAssembly engine: how it is configured, and what every rule is linked to.

use std::num::NonZeroUsize;
use std::sync::Arc;

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, Linker, OptLevel, PoolingAllocationConfig, Strategy,
    component,
};

use crate::capabilities;
use crate::compile_cache::{CacheError, Compilations, CompileCache};
use crate::epoch::EpochClock;
use crate::state::State;
use crate::{Pack, PrivateFolder, Rule, RuleError};

/// Bytes of linear memory that a budget may allow; the most that the instance pool can hold.
pub(crate) const MAX_MEMORY: u64 = 256 << 20;
/// Instances at once: workers times rules, and with isolation `flow` one per connection. Each
/// reserves 4 GiB of addresses (which lets the compiler leave bounds checks to the MMU) and no
/// memory: 16 TiB of the 128 that a process has.
const INSTANCES: u32 = 4096;
/// Bytes of native stack for a rule. Half of what the smallest thread that calls rules has.
const STACK: usize = 512 << 10;
/// Core modules in a component: the rule, and the shims that `wit-component` adds for its imports.
const MODULES_PER_RULE: u32 = 4;
/// Elements of a table: the functions that a rule calls through pointers.
pub(crate) const MAX_TABLE: usize = 16 << 10;
/// Bytes of a memory that a freed slot keeps: what a small rule touches is wiped, which is
/// quicker than giving the pages back and faulting them in again.
const KEEP_RESIDENT: usize = 64 << 10;
/// Slots that keep them at most; bounds what an idle process holds on to.
const WARM_SLOTS: u32 = 32;

/// Frames that are looked at where a call failed.
const BACKTRACE_FRAMES: usize = 24;

/// One per process: engine, linker and the clock of the time budgets.
pub struct RuleHost {
    engine: Engine,
    linkers: Linkers,
    clock: Arc<EpochClock>,
    cache: Option<CompileCache>,
}

/// The host's functions, for components and for core modules that are called directly.
pub(crate) struct Linkers {
    pub component: component::Linker<State>,
    pub core: Linker<State>,
}

/// Why rules cannot be run on this machine.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("cannot set up the WebAssembly engine: {0:#}")]
    Engine(wasmtime::Error),
    #[error("cannot start the thread of the time budgets: {0}")]
    Thread(#[from] std::io::Error),
}

impl RuleHost {
    /// One that keeps no compiled code.
    ///
    /// # Errors
    /// See [`HostError`]; most likely a limit on address space (`ulimit -v`).
    pub fn new() -> Result<Arc<RuleHost>, HostError> {
        RuleHost::with(None)
    }

    /// One that keeps compiled code in a folder, and takes it from there. Where the folder cannot be written it keeps none, which
    /// costs time: the second value says why.
    ///
    /// # Errors
    /// As [`RuleHost::new`].
    pub fn with_cache(folder: &PrivateFolder) -> Result<(Arc<RuleHost>, Option<CacheError>), HostError> {
        let (cache, problem) = match CompileCache::open(folder) {
            Ok(cache) => (Some(cache), None),
            Err(problem) => (None, Some(problem)),
        };
        Ok((RuleHost::with(cache)?, problem))
    }

    fn with(cache: Option<CompileCache>) -> Result<Arc<RuleHost>, HostError> {
        let mut config = config();
        config.cache(cache.as_ref().map(|it| it.cache().clone()));
        let engine = Engine::new(&config).map_err(HostError::Engine)?;
        let mut linkers = Linkers { component: component::Linker::new(&engine), core: Linker::new(&engine) };
        capabilities::link(&mut linkers.component, &mut linkers.core).map_err(HostError::Engine)?;
        let clock = Arc::new(EpochClock::start(&engine)?);
        Ok(Arc::new(RuleHost { engine, linkers, clock, cache }))
    }

    /// How often code was compiled, and how often it was in the cache; `None`: there is no cache.
    pub fn compilations(&self) -> Option<Compilations> {
        self.cache.as_ref().map(CompileCache::compilations)
    }

    /// Compiles a pack and checks it against the contract.
    ///
    /// Takes about a second per MiB of code, at most [`MAX_PACK_BYTES`](crate::MAX_PACK_BYTES) of
    /// them, on the calling thread: call it where nothing waits. Code that was compiled
    /// elsewhere is never taken.
    ///
    /// # Errors
    /// See [`RuleError`].
    pub fn compile(&self, pack: &Pack) -> Result<Arc<Rule>, RuleError> {
        let rule = Rule::compile(&self.engine, &self.linkers, &self.clock, pack);
        if let Some(cache) = &self.cache {
            cache.record();
        }
        rule
    }
}

fn config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES)
        .total_core_instances(INSTANCES * MODULES_PER_RULE)
        .total_memories(INSTANCES)
        .total_tables(INSTANCES * 2)
        .max_core_instances_per_component(MODULES_PER_RULE)
        .max_memories_per_component(1)
        .max_tables_per_component(2)
        .max_memory_size(MAX_MEMORY as usize)
        .table_elements(MAX_TABLE)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(4096)
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(WARM_SLOTS);

    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(true)
        .max_wasm_stack(STACK)
        // The time budget. Fuel would count instructions, which is not what an operator buys.
        .epoch_interruption(true)
        .consume_fuel(false)
        // What a fault names, with what the SDK and the panic machinery put between.
        .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES))
        .generate_address_map(false)
        .native_unwind_info(false)
        // What rules do not need is not there to be attacked.
        .concurrency_support(false)
        .wasm_relaxed_simd(false)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_tail_call(false);
    config
}
