from __future__ import annotations

import numpy as np
import pytest
import torch

import labkit.datasets as datasets

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 4, 5), dtype=np.uint8)
LABELS = (np.arange(12) % 3).astype(np.uint8)


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_pairs_become_train_and_official_test(data_root, write_idx, zipped):
    for name, rows in (("t10k", slice(0, 4)), ("train", slice(4, 12))):
        write_idx(data_root / "mine" / f"{name}-images", IMAGES[rows], zipped)
        write_idx(data_root / "mine" / f"{name}-labels", LABELS[rows], zipped)
    data = datasets.load("local", folder="mine")
    assert data.shape == (1, 4, 5) and data.image_shape == (4, 5) and data.classes == ("0", "1", "2")
    assert data.test.tolist() == [8, 9, 10, 11] and data.name == "mine" and "local: mine" in repr(data)
    np.testing.assert_allclose(data.image(0), IMAGES[4] / 255, atol=1e-6)
    np.testing.assert_array_equal(data.y, np.concatenate([LABELS[4:], LABELS[:4]]))
    assert abs(float(data.x.mean())) < 1e-5 and abs(float(data.x.std(correction=0)) - 1) < 1e-5
    flat = datasets.load("local", folder="mine", flat=True, classes=("a", "b", "c"))
    assert flat.shape == (20,) and flat.classes == ("a", "b", "c") and torch.equal(flat.x, data.x.flatten(1))


def test_idx_pairs_of_equal_length_are_paired_by_name(data_root, write_idx):
    for name, rows in (("one", slice(0, 6)), ("two", slice(6, 12))):
        write_idx(data_root / f"{name}.img", IMAGES[rows])
        write_idx(data_root / f"{name}.lab", LABELS[rows][::-1])
    write_idx(data_root / "another.lab", LABELS[:6])
    data = datasets.load("local", folder=".")
    assert data.test is None and data.name == data_root.name
    np.testing.assert_array_equal(data.y, np.concatenate([LABELS[:6][::-1], LABELS[6:][::-1]]))


def test_tables_are_standardised_and_string_labels_sorted(data_root):
    x = RNG.normal(5, 3, (6, 2))
    np.savez(data_root / "t.npz", x=x, y=np.array(["no", "yes", "no", "maybe", "yes", "no"]))
    data = datasets.load("local", folder="t.npz")
    assert data.name == "t" and data.classes == ("maybe", "no", "yes") and data.y.tolist() == [1, 2, 1, 0, 2, 1]
    np.testing.assert_allclose(data.x, (x - x.mean(0)) / x.std(0), rtol=1e-5)


def test_string_labels_follow_given_class_names(data_root):
    np.savez(data_root / "t.npz", x=np.eye(3), y=np.array(["b", "a", "b"]), class_names=np.array(["b", "z", "a", "q"]))
    data = datasets.load("local", folder="t.npz")
    assert data.classes == ("b", "z", "a", "q") and data.y.tolist() == [0, 2, 0]


def test_flat_rows_can_be_called_images(data_root):
    np.savez(data_root / "f.npz", x=IMAGES.reshape(12, 20), y=LABELS)
    data = datasets.load("local", folder="f.npz", image_shape=(4, 5))
    assert data.shape == (1, 4, 5)
    np.testing.assert_allclose(data.image(7), IMAGES[7] / 255, atol=1e-6)
    with pytest.raises(ValueError, match=r"image_shape \(4, 4\) holds 16 values, an example of shape \(20,\) has 20"):
        datasets.load("local", folder="f.npz", image_shape=(4, 4))


def test_float_images_are_brought_to_the_unit_interval(data_root):
    x = RNG.uniform(-3, 5, (6, 2, 3))
    np.savez(data_root / "f.npz", x=x, y=np.arange(6) % 2)
    picture = datasets.load("local", folder="f.npz").image(2)
    np.testing.assert_allclose(picture, (x[2] - x.min()) / (x.max() - x.min()), atol=1e-6)


def test_nan_in_a_table_is_located_before_it_spreads(data_root):
    x = np.ones((6, 3))
    x[4, 1] = np.nan
    np.savez(data_root / "f.npz", x=x, y=np.arange(6) % 2)
    with pytest.raises(ValueError, match=r"f.npz: 1 of 18 features are NaN or infinite, the first at x\[4, 1\]"):
        datasets.load("local", folder="f.npz")


def test_unlabelled_and_negative(data_root, write_idx):
    write_idx(data_root / "u" / "images", IMAGES)
    write_idx(data_root / "u" / "labels", LABELS[:7])
    with pytest.raises(ValueError, match=r"images: the labels are unknown: .* 12 integers .*labels has 7"):
        datasets.load("local", folder="u")
    np.savez(data_root / "n.npz", x=np.eye(3), y=np.array([0, -1, 1]))
    with pytest.raises(ValueError, match=r"1 labels are outside .* y\[1\] = -1; drop unlabelled examples"):
        datasets.load("local", folder="n.npz")


def test_one_label_file_serves_one_image_file(data_root, write_idx):
    for name in ("images", "images-small"):
        write_idx(data_root / name, IMAGES)
    write_idx(data_root / "labels", LABELS)
    with pytest.raises(ValueError, match=r"images-small: the labels are unknown: .*no label file is left"):
        datasets.load("local", folder=".")


def test_damaged_files_speak_up(data_root, write_idx):
    write_idx(data_root / "d" / "labels", LABELS)
    path = write_idx(data_root / "d" / "images", IMAGES)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"d/images: truncated: .* takes 256 bytes, found 253"):
        datasets.load("local", folder="d")
    (data_root / "e").mkdir()
    (data_root / "e" / "train.npz").write_bytes(b"PK half")
    with pytest.raises(ValueError, match=r"e/train.npz \(7 bytes\) is no readable npz"):
        datasets.load("local", folder="e")
    (data_root / "g").mkdir()
    (data_root / "g" / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b half")
    with pytest.raises(ValueError, match=r"idx3-ubyte.gz: the gzip data \(7 bytes on disk\)"):
        datasets.load("local", folder="g")


def test_wrong_folders(data_root, write_idx, monkeypatch):
    with pytest.raises(FileNotFoundError, match=rf"no folder or file 'absent': looked at {data_root}/absent and"):
        datasets.load("local", folder="absent")
    (data_root / "h").mkdir()
    (data_root / "h" / "notes.txt").write_text("nothing")
    with pytest.raises(ValueError, match=r"h: no labelled data: expected IDX files .* found notes.txt"):
        datasets.load("local", folder="h")
    monkeypatch.setenv("LABKIT_DATA", str(data_root / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"LABKIT_DATA is set to '.*nowhere', but .* is not a folder"):
        datasets.load("cifar10")


def test_mixed_shapes_forms_and_empty_sets(data_root, write_idx):
    for name, images in (("a", IMAGES), ("b", IMAGES[:6, :3])):
        write_idx(data_root / "s" / f"{name}-images", images)
        write_idx(data_root / "s" / f"{name}-labels", LABELS[: len(images)])
    with pytest.raises(ValueError, match=r"different shapes \(a-images \(4, 5\), b-images \(3, 5\)\)"):
        datasets.load("local", folder="s")
    write_idx(data_root / "m" / "images", IMAGES)
    write_idx(data_root / "m" / "labels", LABELS)
    np.savez(data_root / "m" / "same.npz", x=IMAGES, y=LABELS)
    with pytest.raises(ValueError, match="holds IDX files and npz archives"):
        datasets.load("local", folder="m")
    np.savez(data_root / "0.npz", x=np.zeros((0, 3)), y=np.zeros(0, int))
    with pytest.raises(ValueError, match="the set is empty"):
        datasets.load("local", folder="0.npz")


def test_folder_without_labkit_data_counts_from_here(tmp_path, write_idx, monkeypatch):
    write_idx(tmp_path / "here" / "images", IMAGES)
    write_idx(tmp_path / "here" / "labels", LABELS)
    monkeypatch.chdir(tmp_path)
    assert datasets.load("local", folder="here").n == 12
    monkeypatch.setenv("LABKIT_DATA", ".")
    assert datasets.data_folder().resolve() == tmp_path and datasets.load("local", folder="here").n == 12

