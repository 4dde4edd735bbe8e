//! Claims of one process and of others, alive and gone.

use super::*;

/// A process of another machine, as another store's user sees it.
fn other(name: &str) -> Process {
    let text = serde_json::json!({"host": name, "pid": 7, "machine": name, "started": 1});
    serde_json::from_value(text).unwrap()
}

fn quick(store: &Store) -> Writer {
    Writer::join(store, Duration::from_millis(10), Duration::from_millis(200)).unwrap()
}

#[test]
fn only_one_makes_a_thing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let writer = store.writer().unwrap();
    let key = Digest::of(b"node");
    let Claimed::Mine(claim) = writer.claim(&key).unwrap() else {
        panic!("nobody makes it");
    };
    assert!(matches!(
        writer.claim(&key).unwrap(),
        Claimed::Theirs(process) if process == *Process::this()
    ));
    drop(claim);
    assert!(matches!(writer.claim(&key).unwrap(), Claimed::Mine(_)));
}

#[test]
fn of_many_who_want_a_thing_one_gets_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let writer = store.writer().unwrap();
    for round in 0..50_u32 {
        let key = Digest::of(&round.to_le_bytes());
        let claims: Vec<Claimed> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| writer.claim(&key).unwrap()))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let mine = claims
            .iter()
            .filter(|claimed| matches!(claimed, Claimed::Mine(_)));
        assert_eq!(mine.count(), 1);
    }
}

#[test]
fn a_beat_that_stands_still_ends_a_claim_and_one_that_goes_on_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let writer = quick(&store);
    let key = Digest::of(b"node");
    let far = other("far");
    let path = dir.path().join(CLAIMS).join(key.as_str());
    fs::write(&path, serde_json::to_vec(&far).unwrap()).unwrap();
    let file = dir.path().join(WRITERS).join(far.name());
    let say = |beat| {
        let process = far.clone();
        fs::write(&file, serde_json::to_vec(&Beat { process, beat }).unwrap()).unwrap();
    };
    for count in 0..40 {
        say(count);
        assert!(matches!(writer.claim(&key).unwrap(), Claimed::Theirs(_)));
        std::thread::sleep(Duration::from_millis(10));
    }
    let began = Instant::now();
    while matches!(writer.claim(&key).unwrap(), Claimed::Theirs(_)) {
        assert!(began.elapsed() < Duration::from_secs(20), "never taken");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(began.elapsed() >= Duration::from_millis(150));
}

#[test]
fn a_claim_that_someone_else_took_over_is_not_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let writer = quick(&store);
    let key = Digest::of(b"node");
    let Claimed::Mine(claim) = writer.claim(&key).unwrap() else {
        panic!("nobody makes it");
    };
    let path = dir.path().join(CLAIMS).join(key.as_str());
    let far = serde_json::to_vec(&other("far")).unwrap();
    fs::write(&path, &far).unwrap();
    drop(claim);
    assert_eq!(fs::read(&path).unwrap(), far);
    // Nor is it dropped in the place of another's.
    writer.drop_claim_of(&other("farther"), &path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), far);
    writer.drop_claim_of(&other("far"), &path).unwrap();
    assert!(!path.exists());
}

#[test]
fn what_the_dead_left_is_swept_and_what_the_living_write_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let own = Process::this().name();
    let (machine, rest) = own.split_once('-').unwrap();
    let dead = format!("{machine}-4194304-1.0.abc");
    let far = format!("elsewhere-{rest}.0.abc");
    for name in [&dead, &far, &format!("{own}.9.abc")] {
        fs::create_dir_all(dir.path().join("tmp").join(name)).unwrap();
    }
    let _writer = store.writer().unwrap();
    let left = |name: &str| dir.path().join("tmp").join(name).exists();
    assert!(!left(&dead));
    assert!(left(&far) && left(&format!("{own}.9.abc")));
}

#[test]
fn who_vanished_elsewhere_does_not_have_the_store_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let far = other("far");
    drop(store.writer().unwrap());
    let path = dir.path().join(CLAIMS).join(ALONE);
    fs::write(&path, serde_json::to_vec(&far).unwrap()).unwrap();
    assert!(matches!(store.writer(), Err(StoreError::Locked { .. })));
    let old = std::time::SystemTime::now() - GONE - Duration::from_secs(60);
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(old).unwrap();
    let beat = dir.path().join(WRITERS).join(far.name());
    let said = serde_json::to_vec(&Beat {
        process: far,
        beat: 1,
    });
    fs::write(&beat, said.unwrap()).unwrap();
    // As long as there is a beat it may live.
    assert!(store.writer().is_err());
    fs::remove_file(&beat).unwrap();
    store.writer().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_store_is_had_alone_only_while_nobody_writes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let far = other("far");
    fs::create_dir_all(dir.path().join(WRITERS)).unwrap();
    let file = dir.path().join(WRITERS).join(far.name());
    let beat = Beat {
        process: far,
        beat: 1,
    };
    fs::write(&file, serde_json::to_vec(&beat).unwrap()).unwrap();
    let error = store.alone().unwrap_err().to_string();
    assert!(error.contains("in use by process 7 on `far`"), "{error}");
    fs::remove_file(&file).unwrap();
    let alone = store.alone().unwrap();
    assert!(matches!(store.writer(), Err(StoreError::Locked { .. })));
    drop(alone);
    store.writer().unwrap();
}
