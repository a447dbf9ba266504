use super::*;

fn odometer(user: u64, count: u32) -> Note {
    Note::Odometer { tag: Tag::new([0, 0], 0, Kind::Active, &user.to_le_bytes()), base: 100, count }
}

fn taken(notes: &mut Notes) -> Vec<Note> {
    let taken = notes.take().collect();
    assert!(notes.is_empty());
    taken
}

#[test]
fn a_later_reading_of_one_level_replaces_the_earlier() {
    let mut notes = Notes::new();
    notes.add(odometer(1, 1), 1);
    notes.add(odometer(2, 7), 1);
    notes.add(odometer(1, 2), 1);
    assert_eq!(taken(&mut notes), [odometer(1, 2), odometer(2, 7)]);
}

#[test]
fn a_rolled_back_savepoint_takes_its_notes_along() {
    let mut notes = Notes::new();
    notes.add(odometer(1, 1), 1);
    notes.add(odometer(1, 2), 2);
    notes.add(odometer(2, 1), 3);
    notes.roll_back_savepoint(2);
    assert_eq!(taken(&mut notes), [odometer(1, 1)]);
}

#[test]
fn a_released_savepoint_leaves_its_notes_to_what_is_around_it() {
    let mut notes = Notes::new();
    notes.add(odometer(1, 1), 1);
    notes.add(odometer(1, 2), 3);
    notes.release_savepoint(3);
    notes.release_savepoint(2);
    assert!(!notes.is_empty());
    notes.roll_back_savepoint(2);
    assert_eq!(taken(&mut notes), [odometer(1, 2)]);
}

#[test]
fn charges_in_one_cell_add_up() {
    let cell = |era, charges| Note::Cell { cell: 3, era, charges };
    let mut notes = Notes::new();
    notes.add(cell(1, 1), 1);
    notes.add(cell(1, 1), 2);
    notes.add(cell(2, 1), 1);
    notes.release_savepoint(2);
    assert_eq!(taken(&mut notes), [cell(1, 2), cell(2, 1)]);
}

#[test]
fn a_note_too_many_is_dropped() {
    let mut notes = Notes::new();
    for user in 0..100 {
        notes.add(odometer(user, 1), 1);
    }
    assert_eq!(taken(&mut notes).len(), 64);
}
