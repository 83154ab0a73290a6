//! Runtimes, models, files, text, caches: everything but generating.

mod common;

use common::*;
use deepseam::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn the_library_says_what_it_is() {
    let _alone = alone();
    assert_eq!(abi_version(), sys::DS_ABI_VERSION);
    assert_eq!(version(), env!("CARGO_PKG_VERSION"));
    assert_eq!(Code::FORMAT.name(), "DS_E_FORMAT");
    assert_eq!(Code(-1).name(), "DS_E_?");
    let table = table(sys::DS_ABI_VERSION).unwrap();
    assert_eq!(unsafe { table.abi_version.unwrap()() }, sys::DS_ABI_VERSION);
    assert!(table.cache_release.is_some());
    assert_eq!(code(deepseam::table(sys::DS_ABI_VERSION + (1 << 16))), Code::ABI);
}

#[test]
fn devices_and_plugins_are_described() {
    let _alone = alone();
    let runtime = runtime();
    assert!(runtime.device_count().unwrap() >= 1);
    let device = runtime.device_info(0).unwrap();
    assert_eq!(device.text("kind").unwrap(), "cpu");
    assert!(device.number("memory.total").unwrap() > 0);
    assert!(device.json().unwrap().starts_with('{'));
    assert_eq!(code(device.number("nothing.like.this")), Code::NOT_FOUND);
    assert_eq!(code(device.number("name")), Code::ARGUMENT);
    assert_eq!(code(runtime.device_info(99)), Code::ARGUMENT);
    assert_eq!(runtime.process_events(Duration::ZERO).unwrap(), 0);
    end(runtime);
}

#[test]
fn plugins_load_by_name_and_by_entry() {
    let _alone = alone();
    let other = runtime();
    let folder = plugin_folder(&other);
    end(other);
    let none = || Runtime::with(RuntimeOptions { no_default_plugins: true, ..RuntimeOptions::default() }).unwrap();
    let runtime = none();
    assert_eq!(runtime.device_count().unwrap(), 0);
    assert_eq!(code(runtime.load_plugin("/no/such.dsplugin")), Code::NOT_FOUND);
    runtime.load_plugin(folder.join("deepseam-ref.dsplugin")).unwrap();
    assert_eq!(runtime.device_count().unwrap(), 1);
    end(runtime);

    extern "C" {
        fn dlopen(path: *const std::os::raw::c_char, flags: std::os::raw::c_int) -> *mut std::os::raw::c_void;
        fn dlsym(library: *mut std::os::raw::c_void, name: *const std::os::raw::c_char) -> *mut std::os::raw::c_void;
    }
    let binary = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let binary = binary
        .filter(|path| path.to_string_lossy().contains("deepseam-ref"))
        .find(|path| path.extension().map_or(false, |extension| extension != "dsplugin"));
    let path = std::ffi::CString::new(binary.unwrap().to_str().unwrap()).unwrap();
    let runtime = none();
    unsafe {
        let library = dlopen(path.as_ptr(), 2);
        assert!(!library.is_null());
        let entry = dlsym(library, b"ds_backend_main\0".as_ptr().cast());
        assert!(!entry.is_null());
        type Entry = unsafe extern "C" fn() -> *const sys::dsb_root;
        let entry = std::mem::transmute::<*mut std::os::raw::c_void, Entry>(entry);
        runtime.register_backend(Some(entry)).unwrap();
    }
    assert_eq!(code(unsafe { runtime.register_backend(None) }), Code::ARGUMENT);
    let model = runtime.open(&options()).unwrap();
    assert_eq!(model.info().unwrap().text("backend").unwrap(), "ref");
    drop(model);
    end(runtime);
}

#[test]
fn a_program_may_refuse_plugins_and_hear_the_log() {
    let _alone = alone();
    let asked = Arc::new(AtomicUsize::new(0));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (ask, hear) = (Arc::clone(&asked), Arc::clone(&heard));
    let host = Host::new()
        .verify_plugin(move |plugin| {
            assert!(plugin.binary.len() > 1000 && !plugin.name.is_empty() && !plugin.path.is_empty());
            ask.fetch_add(1, Ordering::SeqCst);
            Err(Code::PERMISSION)
        })
        .log(move |level, part, text| hear.lock().unwrap().push((level, part.to_string(), text.to_string())));
    let options = RuntimeOptions { log_level: Some(LogLevel::Debug), host, ..RuntimeOptions::default() };
    let runtime = Runtime::with(options).unwrap();
    assert_eq!(runtime.device_count().unwrap(), 0);
    assert!(asked.load(Ordering::SeqCst) >= 1);
    let report = runtime.plugin_report().unwrap();
    assert!(!report.text("plugins.0.reason").unwrap().is_empty());
    assert_eq!(code(runtime.load_plugin(report.text("plugins.0.path").unwrap())), Code::PLUGIN);
    end(runtime);
    assert!(!heard.lock().unwrap().is_empty());
    assert_eq!(Arc::strong_count(&heard), 1, "the closures are freed");
}

#[test]
fn an_unread_log_waits() {
    let _alone = alone();
    let folder = file("plugins");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("broken.dsplugin"), "nothing of a manifest").unwrap();
    let options = RuntimeOptions {
        log_level: Some(LogLevel::Debug),
        plugin_dirs: vec![folder.clone()],
        ..RuntimeOptions::default()
    };
    let runtime = Runtime::with(options).unwrap();
    runtime.device_count().unwrap();
    let (level, text) = runtime.read_log().unwrap().expect("a broken plugin is worth a sentence");
    assert!((sys::DS_LOG_ERROR..=sys::DS_LOG_DEBUG).contains(&level) && text.contains(": "), "{} {}", level, text);
    while runtime.read_log().unwrap().is_some() {}
    assert_eq!(code(runtime.load_plugin(folder.join("broken.dsplugin"))), Code::FORMAT);
    end(runtime);
    std::fs::remove_dir_all(folder).unwrap();
}

struct Memory(Arc<Mutex<(u64, usize)>>); // bytes not released, allocations
unsafe impl Allocator for Memory {
    fn allocate(&self, size: u64, alignment: u64, _tag: u32) -> *mut u8 {
        let mut counts = self.0.lock().unwrap();
        counts.0 += size;
        counts.1 += 1;
        let layout = std::alloc::Layout::from_size_align(size as usize + 4096, alignment.max(4096) as usize).unwrap();
        unsafe { std::alloc::alloc(layout) }
    }
    unsafe fn release(&self, memory: *mut u8, size: u64, _tag: u32) {
        self.0.lock().unwrap().0 -= size;
        std::alloc::dealloc(memory, std::alloc::Layout::from_size_align(size as usize + 4096, 4096).unwrap());
    }
}

struct OneByOne(Arc<AtomicUsize>);
impl TaskRunner for OneByOne {
    fn width(&self) -> u32 {
        2
    }
    fn concurrent(&self) -> bool {
        false
    }
    fn run(&self, tasks: Tasks<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        (0..tasks.count()).for_each(|index| tasks.run(index));
    }
}

struct NoMemory;
unsafe impl Allocator for NoMemory {
    fn allocate(&self, _size: u64, _alignment: u64, _tag: u32) -> *mut u8 {
        std::ptr::null_mut()
    }
    unsafe fn release(&self, _memory: *mut u8, _size: u64, _tag: u32) {}
}

#[test]
fn memory_and_threads_may_be_the_programs() {
    let _alone = alone();
    let counts = Arc::new(Mutex::new((0, 0)));
    let runs = Arc::new(AtomicUsize::new(0));
    let host = Host::new().allocator(Memory(Arc::clone(&counts))).task_runner(OneByOne(Arc::clone(&runs)));
    let runtime = Runtime::with(RuntimeOptions { host, ..RuntimeOptions::default() }).unwrap();
    let model = runtime.open(&common::options()).unwrap();
    model.session().unwrap().generate(PROMPT, &greedy(4)).unwrap();
    drop(model);
    end(runtime);
    assert!(counts.lock().unwrap().1 > 0);
    assert_eq!(counts.lock().unwrap().0, 0, "all of it was released");
    assert_eq!(Arc::strong_count(&runs), 1);
    assert!(runs.load(Ordering::SeqCst) > 0);
    let host = Host::new().allocator(NoMemory);
    let runtime = Runtime::with(RuntimeOptions { host, ..RuntimeOptions::default() }).unwrap();
    assert_eq!(code(runtime.open(&common::options())), Code::MEMORY);
    end(runtime);
}

/// A model file as a program's archive has it.
struct Archive {
    bytes: Arc<Vec<u8>>,
    concurrent: bool,
    fails: Option<Code>,
}
struct Entry(Arc<Vec<u8>>, Option<Code>);
impl Files for Archive {
    fn open(&self, name: &str) -> std::result::Result<Box<dyn ReadAt>, Code> {
        if !name.is_empty() {
            return Err(Code::NOT_FOUND);
        }
        Ok(Box::new(Entry(Arc::clone(&self.bytes), self.fails)))
    }
    fn concurrent(&self) -> bool {
        self.concurrent
    }
}
impl ReadAt for Entry {
    fn size(&self) -> std::result::Result<u64, Code> {
        Ok(self.0.len() as u64)
    }
    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::result::Result<(), Code> {
        if let Some(code) = self.1 {
            return Err(code);
        }
        into.copy_from_slice(&self.0[offset as usize..offset as usize + into.len()]);
        Ok(())
    }
}

#[test]
fn a_model_from_anywhere_is_the_same_model() {
    let _alone = alone();
    let runtime = runtime();
    let bytes = Arc::new(std::fs::read(model_path()).unwrap());
    let archive = |concurrent, fails| Source::Files(Arc::new(Archive { bytes: Arc::clone(&bytes), concurrent, fails }));
    let whole: Arc<Vec<u8>> = Arc::clone(&bytes);
    let sources = [Source::from(model_path()), Source::Memory(whole), archive(false, None), archive(true, None)];
    let mut texts = Vec::new();
    for source in sources {
        let model = runtime.open(&ModelOptions { source, ..options() }).unwrap();
        texts.push(model.session().unwrap().generate(PROMPT, &greedy(8)).unwrap().ids(0).unwrap().to_vec());
    }
    assert!(texts.iter().all(|text| *text == texts[0] && text.len() == 8));
    for failure in [Code::IO, Code::PERMISSION] {
        let source = archive(true, Some(failure));
        assert_eq!(code(runtime.open(&ModelOptions { source, ..options() })), failure);
    }
    end(runtime);
    assert_eq!(Arc::strong_count(&bytes), 1, "sources are freed, those of failed calls too");
}

#[test]
fn what_is_no_model_is_refused_with_the_reason() {
    let _alone = alone();
    let runtime = runtime();
    let error = runtime.open(&ModelOptions::path("/no/such/model")).unwrap_err();
    assert_eq!((error.code(), error.path()), (Code::NOT_FOUND, "/no/such/model"));
    let garbage = file("garbage.dsm");
    std::fs::write(&garbage, vec![7u8; 5000]).unwrap();
    assert_eq!(code(runtime.open(&ModelOptions::path(&garbage))), Code::FORMAT);
    std::fs::remove_file(garbage).unwrap();
    let folder = file("llama");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.json"), r#"{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}"#)
        .unwrap();
    let mut tensors = 62u64.to_le_bytes().to_vec(); // a whole safetensors file with one number in it
    tensors.extend_from_slice(br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}        "#);
    tensors.extend_from_slice(&[0; 4]);
    std::fs::write(folder.join("model.safetensors"), tensors).unwrap();
    assert_eq!(code(runtime.open(&ModelOptions::path(&folder))), Code::MODEL);
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(code(runtime.open(&ModelOptions { backend: "abacus", ..options() })), Code::NO_DEVICE);
    let small = ModelOptions { ram_budget: 1000, ..options() };
    assert_eq!(code(runtime.open(&small)), Code::BUDGET);
    let plan = runtime.plan(&small).unwrap();
    assert_eq!(plan.number("fits").unwrap(), 0);
    assert!(!plan.text("reason").unwrap().is_empty());
    let plan = runtime.plan(&options()).unwrap();
    assert_eq!(plan.number("fits").unwrap(), 1);
    assert!(plan.real("bytes.total").unwrap() >= plan.real("bytes.weights").unwrap());
    end(runtime);
}

#[test]
fn opening_tells_its_progress_and_can_be_stopped() {
    let _alone = alone();
    let runtime = runtime();
    let mut seen = 0;
    let count = Callbacks::new().on_progress(|progress| {
        assert!(progress.total == 0 || progress.done <= progress.total);
        seen += 1;
        Flow::Continue
    });
    drop(runtime.open_with(&options(), count).unwrap());
    assert!(seen > 0);
    assert_eq!(code(runtime.open_with(&options(), Callbacks::new().on_progress(|_| Flow::Stop))), Code::STOPPED);
    let cancel = Cancel::new().unwrap();
    cancel.set().unwrap();
    assert_eq!(code(runtime.open(&ModelOptions { cancel: Some(&cancel), ..options() })), Code::CANCELLED);
    end(runtime);
}

#[test]
fn a_model_opens_in_the_background() {
    let _alone = alone();
    let runtime = runtime();
    let job = runtime.open_start(&options(), Callbacks::new()).unwrap();
    job.progress().unwrap();
    let model = job.finish().unwrap();
    assert!(model.info().unwrap().number("vocab").unwrap() > 100);
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let callbacks = Callbacks::new().on_progress(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Flow::Continue
    });
    runtime.open_start(&options(), callbacks).unwrap().finish().unwrap();
    assert!(seen.load(Ordering::SeqCst) > 0);
    assert_eq!(Arc::strong_count(&seen), 1);
    let missing = runtime.open_start(&ModelOptions::path("/no/such/model"), Callbacks::new()).unwrap();
    assert_eq!(code(missing.finish()), Code::NOT_FOUND);
    let stopped = runtime.open_start(&options(), Callbacks::new().on_progress(|_| Flow::Stop)).unwrap();
    assert_eq!(code(stopped.finish()), Code::STOPPED);
    drop(model);
    end(runtime);
}

// A cancel that comes after the end changes nothing, and so small a model may be quicker than one cancel.
#[test]
fn an_open_in_the_background_can_be_cancelled() {
    let _alone = alone();
    let runtime = runtime();
    let cancelled = (0..1000).any(|_| {
        let job = runtime.open_start(&options(), Callbacks::new()).unwrap();
        job.cancel().unwrap();
        match job.finish() {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.code(), Code::CANCELLED);
                true
            }
        }
    });
    assert!(cancelled);
    end(runtime);
}

#[test]
fn text_becomes_tokens_and_back() {
    let _alone = alone();
    let runtime = runtime();
    let model = runtime.open(&options()).unwrap();
    let ids = model.tokenize("int x = 1; // 你", sys::DS_TEXT_NO_BOS).unwrap();
    assert_eq!(model.detokenize(&ids, 0).unwrap(), "int x = 1; // 你");
    let bytes: Vec<u8> = ids.iter().flat_map(|id| model.token_text(*id).unwrap()).collect();
    assert_eq!(bytes, "int x = 1; // 你".as_bytes());
    assert_eq!(model.tokenize(b"\xff", sys::DS_TEXT_NO_BOS).unwrap().len(), 1);
    assert_eq!(model.tokenize("", sys::DS_TEXT_NO_BOS).unwrap(), []);
    assert_eq!(model.detokenize(&[], 0).unwrap(), "");
    assert_eq!(code(model.token_text(1 << 30)), Code::ARGUMENT);
    let cancel = Cancel::new().unwrap();
    assert!(!model.tokenize_with("a", 0, Some(&cancel)).unwrap().is_empty());
    let messages = [Message { role: "user", content: "Hello" }];
    let chat = Chat { messages: &messages, template: "v3", ..Chat::default() };
    let fim = Fim { prefix: "int add(", suffix: ";\n", ..Fim::default() };
    assert!(model.chat_prompt(&chat).unwrap().len() > 3);
    assert!(model.fim_prompt(&fim).unwrap().len() > 3);
    assert_eq!(code(model.chat_prompt(&Chat { template: "v9", ..chat })), Code::ARGUMENT);
    let facts = runtime.open(&ModelOptions { no_weights: true, ..options() }).unwrap();
    assert_eq!(facts.tokenize("int x = 1; // 你", sys::DS_TEXT_NO_BOS).unwrap(), ids);
    assert_eq!(code(facts.session()), Code::UNSUPPORTED);
    drop(facts);
    drop(model);
    end(runtime);
}

/// A PEFT folder that moves the logit of token i by i times the sum of what lm_head sees.
fn adapter_folder(model: &Model) -> std::path::PathBuf {
    let info = model.info().unwrap();
    let (hidden, vocab) = (info.number("hidden").unwrap(), info.number("vocab").unwrap());
    let mut header = String::from("{");
    let mut data = Vec::new();
    for (half, rows, cols) in [("A", 1, hidden), ("B", vocab, 1)] {
        let begin = data.len();
        for i in 0..rows * cols {
            data.extend_from_slice(&(if half == "A" { 1.0 } else { i as f32 }).to_le_bytes());
        }
        let (comma, end) = (if begin > 0 { "," } else { "" }, data.len());
        header += &format!(r#"{comma}"base_model.model.lm_head.lora_{half}.weight":{{"dtype":"F32","#);
        header += &format!(r#""shape":[{rows},{cols}],"data_offsets":[{begin},{end}]}}"#);
    }
    header += "}";
    let folder = file("adapter");
    std::fs::create_dir_all(&folder).unwrap();
    let config = r#"{"peft_type": "LORA", "r": 1, "lora_alpha": 1}"#;
    std::fs::write(folder.join("adapter_config.json"), config).unwrap();
    let weights = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat();
    std::fs::write(folder.join("adapter_model.safetensors"), weights).unwrap();
    folder
}

#[test]
fn an_adapter_changes_what_is_generated_with_it() {
    let _alone = alone();
    let runtime = runtime();
    let model = runtime.open(&options()).unwrap();
    assert_eq!(code(model.load_adapter(&Source::from("/no/adapter"))), Code::NOT_FOUND);
    let adapter = model.load_adapter(&Source::from(adapter_folder(&model))).unwrap();
    let mut session = model.session().unwrap();
    let plain = session.generate(PROMPT, &greedy(4)).unwrap();
    let adapted = session.generate(PROMPT, &Params { adapter: Some(&adapter), ..greedy(4) }).unwrap();
    assert_ne!(plain.ids(0).unwrap(), adapted.ids(0).unwrap());
    let ids = [3, 4, 5];
    let mut logits = Vec::new();
    for adapter in [None, Some(&adapter)] {
        session.rewind(0).unwrap();
        logits.push(session.eval(&Eval { ids: &ids, adapter, ..Eval::default() }).unwrap().values.to_vec());
    }
    assert_eq!(logits[0][0], logits[1][0]); // token 0 is moved by nothing
    assert_ne!(logits[0][9], logits[1][9]);
    drop(session);
    drop(model);
    drop(adapter);
    end(runtime);
}

#[test]
fn a_cache_is_shared_counted_and_emptied() {
    let _alone = alone();
    let runtime = runtime();
    let disk = CacheOptions { directory: std::path::Path::new("/tmp"), ..CacheOptions::default() };
    if let Err(error) = runtime.open_cache(&disk) {
        assert_eq!(error.code(), Code::UNSUPPORTED);
    }
    let cache = runtime.open_cache(&CacheOptions { ram_bytes: 64 << 20, ..CacheOptions::default() }).unwrap();
    let model = runtime.open(&ModelOptions { cache: Some(&cache), ..options() }).unwrap();
    let long = PROMPT.repeat(20);
    model.session().unwrap().generate(&long, &greedy(2)).unwrap();
    let again = model.session().unwrap().generate(&long, &greedy(2)).unwrap();
    assert!(again.info().unwrap().number("usage.cached_tokens").unwrap() > 0);
    assert_eq!(cache.stats().unwrap().number("hits").unwrap(), 1);
    assert!(cache.read_event().unwrap().is_some());
    while cache.read_event().unwrap().is_some() {}
    cache.flush().unwrap();
    cache.trim(0).unwrap();
    assert_eq!(cache.stats().unwrap().number("ram.bytes").unwrap(), 0);
    cache.erase("").unwrap();
    drop((model, cache));
    end(runtime);
}

#[test]
fn a_model_is_packed_and_verified() {
    let _alone = alone();
    let runtime = runtime();
    let path = file("packed.dsm");
    let keep = [Setting::text("keep", "f16=o"), Setting::text("card", "A card.")];
    let pack = PackOptions {
        source: Source::from(model_path()),
        path: &path,
        weight_type: "q8",
        backend: "",
        cancel: None,
        settings: &keep,
    };
    runtime.pack(&pack, Callbacks::new()).unwrap();
    let findings = runtime.verify(&Source::from(&path), None, Callbacks::new()).unwrap();
    assert_eq!(findings.number("ok").unwrap(), 1);
    let model = runtime.open(&ModelOptions { source: Source::from(&path), ..options() }).unwrap();
    assert_eq!(model.info().unwrap().text("card").unwrap(), "A card.");
    drop(model);
    assert_eq!(code(runtime.pack(&pack, Callbacks::new().on_progress(|_| Flow::Stop))), Code::STOPPED);
    let unknown = [Setting::number("no such setting", 1)];
    assert_eq!(
        code(runtime.pack(&PackOptions { settings: &unknown, ..pack.clone() }, Callbacks::new())),
        Code::UNKNOWN_FIELD
    );
    std::fs::remove_file(path).unwrap();
    end(runtime);
}
