"""Image files as the world has them, each by its right value: deep, turned, of hospitals, damaged and hidden ones."""

import gzip
import io
import struct
import subprocess
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hospital import write_dicom
from PIL import Image, ImageFile, TiffImagePlugin

from tinydx.preprocessing.class_folders import MOST_NAMED
from tinydx.preprocessing.decoding import size_of
from tinydx.preprocessing.depth import white_of
from tinydx.preprocessing.dicom import may_show_text, patient_of, windowed
from tinydx.preprocessing.files import check_images, find_images, img_to_array, load_images, load_img, shared_white
from tinydx.preprocessing.image import ImageDataGenerator

RAMP = np.linspace(0, 1, 400).reshape(20, 20)
HOW = {"target_size": [20, 20], "color_mode": "rgb", "interpolation": "nearest", "rescale": None}


def stored(image, form, **options):
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, form, **options)
    file.seek(0)
    return file


def pixels(file, mode="rgb", **options):
    return img_to_array(load_img(file, mode, **options))


# --- more than 8 bits -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["png", "tiff"])
@pytest.mark.parametrize(("bits", "dtype"), [(8, np.int32), (12, np.uint16), (12, np.int32), (16, np.uint16), (16, np.int32)])
def test_whole_numbers_of_8_12_and_16_bits_survive(form, bits, dtype):
    if (form, dtype) == ("png", np.int32):
        pytest.skip("PNG ends at 16 bits")
    x = pixels(stored((RAMP * (2**bits - 1)).round().astype(dtype), form))
    np.testing.assert_allclose(x[..., 0], RAMP * 255, atol=0.6)
    np.testing.assert_array_equal(x[..., 0], x[..., 2])


@pytest.mark.parametrize("largest", [70_000, 1_000_000, 2**31 - 1])
def test_more_bits_keep_at_least_half_of_the_levels(largest):
    x = pixels(stored((RAMP * largest).astype(np.int32), "tiff"))
    assert len(np.unique(x)) > 120 and x.max() <= 255


@pytest.mark.parametrize(("largest", "factor"), [(1, 255), (255, 1), (4095, 255 / 4095), (30_000, 255 / 65535)])
def test_fractions(largest, factor):
    values = (RAMP * largest).astype(np.float32)
    np.testing.assert_allclose(pixels(stored(values, "tiff"))[..., 1], values * factor, atol=0.51)
    np.testing.assert_array_equal(pixels(stored(values, "tiff"), "grayscale")[..., 0], values)  # the file's own
    np.testing.assert_allclose(pixels(stored(values, "tiff"), "grayscale", white="file")[..., 0], values * factor, rtol=1e-5)


@pytest.mark.parametrize("maximum", [1, 100, 255, 256, 1000, 4095, 65535])
def test_a_pgm_says_what_is_white(maximum):
    values = (RAMP * maximum / 20).astype(">u2" if maximum > 255 else np.uint8)  # its brightest is far from white
    file = io.BytesIO(b"P5\n20 20\n%d\n" % maximum + values.tobytes())
    np.testing.assert_allclose(pixels(file)[..., 0], values.astype(float) * 255 / maximum, atol=1)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([[-1024, 3071]], np.int32), "begin at -1024, and where black lies is not known"),
        (np.array([[-0.2, 1.0]], np.float32), "begin at -0.2"),
        (np.array([[0.0, np.nan]], np.float32), "NaN or infinite"),
        (np.array([[0.0, np.inf]], np.float32), "NaN or infinite"),
        (np.array([[0.0, 1.5]], np.float32), "fits neither 0 to 1 nor 0 to 255"),
    ],
)
def test_values_without_a_scale_are_refused(tmp_path, values, words):
    (tmp_path / "a.tif").write_bytes(stored(values, "tiff").read())
    with pytest.raises(OSError, match=rf"a\.tif: .*{words}"):
        load_img(tmp_path / "a.tif")
    with pytest.raises(OSError, match=words):
        shared_white([str(tmp_path / "a.tif")])


def by_hand(values, sample_format, white_is_zero=False):
    """A TIFF, little-endian, of one grey strip."""
    height, width = values.shape
    tags = {256: width, 257: height, 258: values.itemsize * 8, 259: 1, 262: 0 if white_is_zero else 1, 277: 1, 278: height}
    tags |= {273: 8 + 2 + 12 * 10 + 4, 279: values.nbytes, 339: sample_format}
    entries = b"".join(struct.pack("<HHII", tag, 3 if tag in (258, 339) else 4, 1, tags[tag]) for tag in sorted(tags))
    return io.BytesIO(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + values.tobytes())


def test_values_without_and_with_a_sign():
    steep = pixels(by_hand((RAMP * (2**32 - 1)).astype("<u4"), 1))
    np.testing.assert_allclose(steep[..., 0], RAMP * 255, atol=0.51)
    np.testing.assert_allclose(pixels(by_hand((RAMP * 4095).astype("<u4"), 1))[..., 0], RAMP * 255, atol=0.6)
    np.testing.assert_allclose(pixels(by_hand((RAMP * 4095).astype("<i2"), 2))[..., 0], RAMP * 255, atol=0.6)
    for dtype in ("<i2", "<i4"):
        with pytest.raises(OSError, match="begin at -1000"):
            load_img(by_hand((RAMP * 4000 - 1000).astype(dtype), 2))


def test_deep_images_whose_lowest_value_is_white_are_refused():
    with pytest.raises(OSError, match="lowest value is white"):
        load_img(by_hand((RAMP * 65535).astype("<u2"), 1, white_is_zero=True))
    inverted = by_hand((255 - RAMP * 255).round().astype(np.uint8), 1, white_is_zero=True)  # 8 bits are turned round
    np.testing.assert_allclose(pixels(inverted)[..., 0], RAMP * 255, atol=0.51)


def deep_folder(root, largest=4095):
    """Two classes of 12 bits in files of 16, one file dark; and the same pictures in 8 bits."""
    for name, factors in (("normal", (1.0, 0.02)), ("sick", (0.5, 0.25))):
        (root / name).mkdir(parents=True)
        for i, factor in enumerate(factors):
            values = (RAMP * factor * largest).round().astype(np.uint16)
            Image.fromarray(values).save(root / name / f"{i}.png")
    return root


@pytest.mark.parametrize("mode", ["rgb", "grayscale"])
def test_all_files_of_a_folder_have_one_white(tmp_path, mode):
    batches = ImageDataGenerator().flow_from_directory(deep_folder(tmp_path), (20, 20), mode, class_mode=None, shuffle=False)
    x = batches[0]
    for image, factor in zip(x, (1.0, 0.02, 0.5, 0.25), strict=True):
        np.testing.assert_allclose(image[..., 0], RAMP * 255 * factor, atol=0.6)
    how = batches.preprocessing
    assert how["white"] == 4095 and "white" in dict(how)
    np.testing.assert_array_equal(load_images(batches.filepaths, how), x)  # what predict does
    Image.fromarray((RAMP * 60_000).astype(np.uint16)).save(tmp_path / "other.png")
    with pytest.raises(OSError, match=r"other\.png: its largest value is 60000, .* white is 4095"):
        load_images([tmp_path / "other.png"], how)
    with pytest.raises(ValueError, match="the value of white"):
        load_images(batches.filepaths, {**how, "white": "much"})


def test_subsets_share_the_white_of_the_whole_folder(tmp_path):
    recipe = ImageDataGenerator(validation_split=0.5)
    deep_folder(tmp_path, 60_000)
    flows = [recipe.flow_from_directory(tmp_path, (20, 20), subset=part) for part in ("training", "validation")]
    assert [flow.white for flow in flows] == [65535, 65535]


def test_eight_bits_need_no_white(tmp_path):
    (tmp_path / "a.png").write_bytes(stored((RAMP * 255).astype(np.uint8), "png").read())
    assert shared_white([str(tmp_path / "a.png")]) is None
    read = [load_images([tmp_path / "a.png"], how) for how in (HOW, {**HOW, "white": 4095})]
    np.testing.assert_array_equal(*read)


def test_two_scales_in_a_folder_are_named(tmp_path):
    for name, values in (("a.tif", RAMP.astype(np.float32)), ("b.tif", (RAMP * 999).astype(np.uint16))):
        (tmp_path / name).write_bytes(stored(values, "tiff").read())
    with pytest.raises(ValueError, match=r"a\.tif holds values from 0 to 1, .*b\.tif up to 4095"):
        shared_white([str(tmp_path / "a.tif"), str(tmp_path / "b.tif")])


def test_deep_images_are_resized_in_their_depth():
    values = (RAMP * 65535).astype(np.uint16)
    for interpolation in ("nearest", "bilinear", "lanczos"):
        small = pixels(stored(values, "png"), "grayscale", target_size=(5, 5), interpolation=interpolation, white="file")
        flat = pixels(stored((RAMP * 255).astype(np.uint8), "png"), "grayscale", target_size=(5, 5), interpolation=interpolation)
        np.testing.assert_allclose(small, flat, atol=1.6)


def test_white_is_never_below_the_largest_value():
    for largest in (1, 255, 256, 4095, 4096, 65535, 65536, 2**20, 2**31 - 1):
        assert largest <= white_of(Image.fromarray(np.array([[largest]], np.int32)))


# --- which side is up, colours, pictures in one file ----------------------------------------------


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_data_says(tmp_path, form, orientation):
    upright = np.zeros((16, 24), np.uint8)
    upright[:8, :8], upright[:8, 16:] = 250, 120  # two corners: no turn or flip leaves it as it is
    inverse = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose}
    inverse |= {6: lambda a: np.rot90(a), 7: lambda a: np.rot90(a, 2).T, 8: lambda a: np.rot90(a, -1)}
    exif = Image.Exif()
    exif[0x112] = orientation
    options = {"quality": 95} if form == "jpeg" else {"lossless": True} if form == "webp" else {}
    file = tmp_path / f"a.{form}"
    file.write_bytes(stored(np.ascontiguousarray(inverse[orientation](upright)), form, exif=exif, **options).read())
    np.testing.assert_allclose(pixels(file)[..., 0], upright, atol=3)
    assert size_of(file) == (24, 16)


def test_colours_of_every_mode():
    red = np.full((8, 8, 3), (200, 30, 40), np.uint8)
    rgb = Image.fromarray(red)
    np.testing.assert_allclose(pixels(stored(rgb.convert("CMYK"), "jpeg", quality=100)), red, atol=4)
    np.testing.assert_allclose(pixels(stored(rgb.convert("CMYK"), "tiff")), red, atol=2)
    np.testing.assert_allclose(pixels(stored(rgb.convert("YCbCr"), "tiff", compression="jpeg")), red, atol=4)
    for form in ("png", "gif", "bmp", "tiff"):
        np.testing.assert_array_equal(pixels(stored(rgb.quantize(4), form)), red)
    for form in ("png", "tiff", "webp"):
        seen = pixels(stored(Image.merge("RGBA", [*rgb.split(), Image.new("L", (8, 8), 90)]), form, lossless=True))
        np.testing.assert_array_equal(seen, red)
    grey = Image.merge("LA", [Image.new("L", (8, 8), 77), Image.new("L", (8, 8), 0)])
    np.testing.assert_array_equal(pixels(stored(grey, "png")), np.full((8, 8, 3), 77))
    bits = Image.fromarray(np.eye(8, dtype=bool))
    for form in ("png", "tiff", "bmp", "ppm"):
        np.testing.assert_array_equal(pixels(stored(bits, form), "grayscale")[..., 0], 255 * np.eye(8))


def test_progressive_and_interlaced_files_are_the_same_picture():
    picture = (RAMP * 255).astype(np.uint8)
    np.testing.assert_allclose(pixels(stored(picture, "jpeg", progressive=True, quality=95))[..., 0], picture, atol=8)
    rows = [picture[start::step, first::skip] for first, start, skip, step in ADAM7]
    raw = b"".join(b"".join(b"\0" + row.tobytes() for row in part) for part in rows if part.size)
    chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))  # noqa: E731
    header = struct.pack(">IIBBBBB", 20, 20, 8, 0, 0, 0, 1)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(pixels(io.BytesIO(b"\x89PNG\r\n\x1a\n" + parts))[..., 0], picture)


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]  # PNG's seven passes


@pytest.mark.parametrize("form", ["tiff", "gif", "webp", "png"])
def test_several_pictures_in_a_file_are_refused(tmp_path, form):
    pages = [Image.fromarray((RAMP * k).astype(np.uint8)) for k in (255, 80, 10)]
    file = tmp_path / f"many.{form}"
    file.write_bytes(stored(pages[0], form, save_all=True, append_images=pages[1:]).read())
    for read in (load_img, lambda path: check_images([path])):
        with pytest.raises(OSError, match=r"many\..*holds 3 pictures: save the one"):
            read(file)
    single = stored(pages[0], form, **({"lossless": True} if form == "webp" else {}))
    np.testing.assert_allclose(pixels(single)[..., 0], RAMP * 255, atol=1)


def test_previews_are_no_second_picture():
    page, small, file = Image.fromarray((RAMP * 255).astype(np.uint8)), Image.new("L", (5, 5)), io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(file, True) as writer:
        page.save(writer, "tiff")
        writer.newFrame()
        small.save(writer, "tiff", tiffinfo={254: 1})
    file.seek(0)
    np.testing.assert_allclose(pixels(file)[..., 0], RAMP * 255, atol=1)


def test_only_formats_that_are_listed_are_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "check_call", lambda *a, **k: pytest.fail("Ghostscript was started"))
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    for name, data in (("a.png", postscript), ("b.png", stored(Image.new("L", (9, 9)), "pcx").read())):
        (tmp_path / name).write_bytes(data)
        for read in (load_img, lambda path: check_images([path])):
            with pytest.raises(OSError, match="a format that tinydx does not read"):
                read(tmp_path / name)


def test_a_bomb_is_refused_before_its_pixels(tmp_path):
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    png += struct.pack(">I", 99) + b"IDAT" + bytes(99)
    (tmp_path / "bomb.png").write_bytes(png)
    for read in (load_img, lambda path: check_images([path])):
        with pytest.raises(OSError, match=r"bomb\.png: its header promises more than 178,956,970 pixels"):
            read(tmp_path / "bomb.png")


@pytest.mark.parametrize("form", ["jpeg", "png", "bmp", "ppm", "tiff", "gif", "webp", "jpeg2000"])
def test_a_picture_that_is_cut_off_is_no_picture(form):
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    whole = stored(noise, form).read()
    for share in (0.1, 0.5, 0.9, 0.98):
        with pytest.raises(OSError, match="cannot read image"):
            load_img(io.BytesIO(whole[: int(len(whole) * share)]))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits"])
def test_a_tiff_that_promises_more_rows_than_it_has_is_cut_off(tmp_path, compression):
    data = bytearray(stored((RAMP * 255).astype(np.uint8), "tiff", compression=compression).read())
    at = next(data.find(struct.pack("<HHI", 257, kind, 1)) for kind in (3, 4) if struct.pack("<HHI", 257, kind, 1) in data)
    data[at + 8 : at + 12] = struct.pack("<I", 9000)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(OSError, match=r"a\.tif"):
        load_img(tmp_path / "a.tif")
    if compression == "raw":
        with pytest.raises(OSError, match="cut off: its data do not reach the end of its 20x9000 pixels"):
            check_images([tmp_path / "a.tif"])


# --- hidden files, and all bad ones ---------------------------------------------------------------


def test_webp_pgm_and_files_without_an_ending(tmp_path, dicom):
    (tmp_path / "a").mkdir()
    stored((RAMP * 255).astype(np.uint8), "webp").read()
    for name, form in (("1.webp", "webp"), ("2.PGM", "ppm"), ("3.gif", "gif")):
        (tmp_path / "a" / name).write_bytes(stored((RAMP * 255).astype(np.uint8), form).read())
    dicom(tmp_path / "a" / "IM000001")
    dicom(tmp_path / "a" / "1.2.840.113619.2.55")
    (tmp_path / "a" / "README").write_text("no picture")
    names = ["1.2.840.113619.2.55", "1.webp", "2.PGM", "3.gif", "IM000001"]
    assert find_images(tmp_path) == {"a": [str(Path("a", name)) for name in names]}


def test_hidden_files_are_no_images(tmp_path):
    for name in ("a", "a/.ipynb_checkpoints", "a/@eaDir", "a/__MACOSX", "b", "__MACOSX", "@eaDir", "lost+found"):
        (tmp_path / name).mkdir()
        for file in ("x.png", "._x.png", "~$x.png"):
            (tmp_path / name / file).write_bytes(stored((RAMP * 255).astype(np.uint8), "png").read())
    (tmp_path / "._x.png").write_bytes(b"no image")
    assert find_images(tmp_path) == {"a": [str(Path("a/x.png"))], "b": [str(Path("b/x.png"))]}


def test_every_bad_file_is_named(tmp_path):
    paths = [tmp_path / f"{i:02}.png" for i in range(MOST_NAMED + 7)]
    for i, path in enumerate(paths):
        path.write_bytes(b"" if i < 3 or i > 6 else stored((RAMP * 255).astype(np.uint8), "png").read())
    with pytest.raises(OSError) as caught:
        check_images(list(map(str, paths)))
    words = str(caught.value)
    assert all(f"{i:02}.png" in words for i in (0, 1, 2, 7, 13)) and "03.png" not in words and "\n" not in words
    assert words.endswith("; and 3 more (13 such files of 17)")


# --- DICOM ----------------------------------------------------------------------------------------


@pytest.fixture
def dicom():
    """Writes a DICOM file: of these values, with these attributes."""
    pytest.importorskip("pydicom")
    return write_dicom


CT = np.linspace(0, 4095, 256).astype(np.int16).reshape(16, 16)
HOUNSFIELD = CT.astype(float) - 1024


def grey(path):
    x = pixels(path)
    np.testing.assert_array_equal(x[..., 0], x[..., 2])
    return x[..., 0]


def test_rescaling_and_the_first_window(tmp_path, dicom):
    path = dicom(tmp_path / "a.dcm", CT, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=[40, 500], WindowWidth=[400, 2000])
    expected = np.clip((HOUNSFIELD - 39.5) / 399 + 0.5, 0, 1) * 255
    np.testing.assert_allclose(grey(path), expected, atol=0.51)
    assert size_of(path) == (16, 16)
    inverted = dicom(
        tmp_path / "b.dcm", CT, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400,
        PhotometricInterpretation="MONOCHROME1",
    )  # fmt: skip
    np.testing.assert_allclose(grey(inverted), 255 - expected, atol=0.51)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_are_those_of_pydicom(function):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.pixels import apply_windowing

    ds = pydicom.Dataset()
    ds.PhotometricInterpretation, ds.BitsStored, ds.PixelRepresentation = "MONOCHROME2", 12, 0
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = 1500, 900, function
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    np.testing.assert_allclose(windowed(values.astype(float), 1500, 900, function), apply_windowing(values, ds) / 4095, atol=1e-9)


def test_a_window_of_width_one_is_a_threshold_and_none_is_refused():
    assert windowed(np.array([39.0, 40.0]), 40, 1).tolist() == [0, 1]
    for width, function in ((0, "LINEAR"), (-5, "SIGMOID"), (0.5, "LINEAR")):
        with pytest.raises(ValueError, match="window is"):
            windowed(CT, 40, width, function)
    with pytest.raises(ValueError, match="'CUBIC'"):
        windowed(CT, 40, 400, "CUBIC")


def test_without_a_window_the_values_are_stretched_and_padding_is_left_out(tmp_path, dicom):
    values = CT.copy()
    values[:4] = -2000
    path = dicom(tmp_path / "a.dcm", values, PixelPaddingValue=-2000)
    low, high = values[4:].min(), values[4:].max()
    np.testing.assert_allclose(grey(path), np.clip((values - float(low)) / (high - low), 0, 1) * 255, atol=0.51)
    np.testing.assert_array_equal(grey(dicom(tmp_path / "flat.dcm", np.full((9, 9), 7, np.uint16))), 0)


def test_a_table_of_values_of_interest_comes_before_a_window(tmp_path, dicom):
    from pydicom import Dataset, Sequence

    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4, 0, 8], np.array([0, 200, 100, 255], "<u2").tobytes()
    values = np.array([[0, 1], [2, 3]], np.uint16)
    path = dicom(tmp_path / "a.dcm", values, VOILUTSequence=Sequence([table]), WindowCenter=2, WindowWidth=2)
    np.testing.assert_array_equal(grey(path), [[0, 200], [100, 255]])


def test_colour_and_palettes(tmp_path, dicom):
    colours = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    np.testing.assert_array_equal(pixels(dicom(tmp_path / "rgb.dcm", colours)), colours)
    deep = dicom(tmp_path / "deep.dcm", colours.astype(np.uint16) * 257)
    np.testing.assert_array_equal(pixels(deep), colours)
    tables = {f"{c}PaletteColorLookupTableDescriptor": [4, 0, 16] for c in ("Red", "Green", "Blue")}
    tables |= {f"{c}PaletteColorLookupTableData": np.array(v, "<u2").tobytes() for c, v in
               (("Red", [0, 65535, 0, 0]), ("Green", [0, 0, 65535, 0]), ("Blue", [0, 0, 0, 65535]))}  # fmt: skip
    path = dicom(tmp_path / "p.dcm", np.array([[0, 1], [2, 3]], np.uint8), PhotometricInterpretation="PALETTE COLOR", **tables)
    np.testing.assert_array_equal(pixels(path), [[[0, 0, 0], [255, 0, 0]], [[0, 255, 0], [0, 0, 255]]])


def test_files_of_pydicom_in_every_syntax_show_the_same_picture():
    data = pytest.importorskip("pydicom.data")
    names = ["MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_expb.dcm"]
    pictures = [pixels(data.get_testdata_file(name, download=False)) for name in names]
    for picture in pictures[1:]:
        np.testing.assert_array_equal(picture, pictures[0])
    assert len(np.unique(pictures[0])) > 100
    plain = pixels(data.get_testdata_file("SC_rgb_rle.dcm", download=False))
    for name in ("SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_ybr_full_422_uncompressed.dcm"):  # RGB, YBR, 4:2:2
        assert np.median(abs(pixels(data.get_testdata_file(name, download=False)) - plain)) <= 2  # JPEG blurs borders


def test_what_holds_no_single_picture_is_refused_by_name(tmp_path, dicom):
    data = pytest.importorskip("pydicom.data")
    known = {"examples_ybr_color.dcm": "holds 30 frames", "test-SR.dcm": r"no picture \(Comprehensive SR"}
    known |= {"rtplan.dcm": "no picture", "image_dfl.dcm": "deflated", "liver_1frame.dcm": "enhanced"}
    known |= {"MR_truncated.dcm": "cut off: .*8192 bytes.* 8130"}
    for name, words in known.items():
        for read in (load_img, lambda path: check_images([path])):
            with pytest.raises(OSError, match=f"{name}.*{words}"):
                read(data.get_testdata_file(name, download=False))
    for name, content in (("empty.dcm", b""), ("text.dcm", b"this is no picture at all"), ("zeros.dcm", bytes(1000))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(OSError, match=name):
            check_images([str(tmp_path / name)])
    with pytest.raises(OSError, match="says it has 60000x60000 pixels"):
        load_img(dicom(tmp_path / "bomb.dcm", Rows=60000, Columns=60000))


def test_the_package_that_is_missing_is_named(tmp_path, dicom, monkeypatch):
    path = dicom(tmp_path / "a.dcm")
    (tmp_path / "a.nii").write_bytes(bytes(400))
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    monkeypatch.setitem(__import__("sys").modules, "nibabel", None)
    for file in (path, tmp_path / "a.nii"):
        for read in (load_img, lambda file: check_images([file])):
            with pytest.raises(ImportError, match=r"pip install 'tinydx\[dicom\]'"):
                read(file)


def test_the_codec_that_is_missing_is_named(monkeypatch):
    data = pytest.importorskip("pydicom.data")
    monkeypatch.setattr("pydicom.Dataset.pixel_array", property(lambda ds: (_ for _ in ()).throw(RuntimeError("no plugin"))))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"compressed \(JPEG-LS Lossless.*pip install pylibjpeg"):
        load_img(data.get_testdata_file("MR_small_jpeg_ls_lossless.dcm", download=False))


def test_files_without_the_mark_or_the_ending(tmp_path, dicom):
    whole = grey(dicom(tmp_path / "a.dcm", CT))
    np.testing.assert_array_equal(grey(dicom(tmp_path / "b.dcm", CT, preamble=False)), whole)
    np.testing.assert_array_equal(grey(dicom(tmp_path / "IM0001", CT)), whole)
    np.testing.assert_array_equal(grey(dicom(tmp_path / "wrong.png", CT)), whole)
    np.testing.assert_array_equal(grey(io.BytesIO((tmp_path / "a.dcm").read_bytes())), whole)


def test_the_patient_of_a_file(tmp_path, dicom):
    assert patient_of(dicom(tmp_path / "a.dcm")) == "patient P7"
    for removed in ("", " ", "ANONYMOUS", "anonymized", "0000", "XXX", "Unknown"):
        assert patient_of(dicom(tmp_path / "b.dcm", PatientID=removed)) == "study 1.2.3"
    assert patient_of(dicom(tmp_path / "c.dcm", PatientID=None, StudyInstanceUID=None)) is None
    assert patient_of(dicom(tmp_path / "d.dcm", PatientID="ANON0012")) == "patient ANON0012"
    (tmp_path / "x.dcm").write_bytes(b"damaged")
    assert patient_of(tmp_path / "x.dcm") is None and patient_of(tmp_path / "none.dcm") is None


def test_text_in_the_picture_is_warned_of(tmp_path, dicom):
    capture = "1.2.840.10008.5.1.4.1.1.7"
    expected = {"plain": ({}, False), "yes": ({"BurnedInAnnotation": "YES"}, True), "capture": ({"SOPClassUID": capture}, True)}
    expected["not"] = ({"SOPClassUID": capture, "BurnedInAnnotation": "NO"}, False)
    paths = [str(dicom(tmp_path / f"{name}.dcm", **attributes)) for name, (attributes, _) in expected.items()]
    assert [may_show_text(path) for path in paths] == [says for _, says in expected.values()]
    with pytest.warns(UserWarning, match=r"2 of 4 images may have names .*yes\.dcm"):
        check_images(paths)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_images([paths[0], paths[3]])


def test_dicom_reads_wherever_a_png_does(tmp_path, dicom):
    for name, level in (("normal", 0), ("sick", 50)):
        (tmp_path / name).mkdir()
        for i in range(3):
            values = (CT // 2 + level * i).astype(np.int16)
            dicom(tmp_path / name / f"{i}.dcm", values, WindowCenter=1000, WindowWidth=2000, PatientID=f"{name}{i}")
    batches = ImageDataGenerator(rescale=1 / 255).flow_from_directory(tmp_path, (16, 16), class_mode="binary", shuffle=False)
    x, y = batches[0]
    assert x.shape == (6, 16, 16, 3) and y.tolist() == [0, 0, 0, 1, 1, 1] and batches.white is None
    np.testing.assert_array_equal(load_images(batches.filepaths, batches.preprocessing), x)


# --- NIfTI ----------------------------------------------------------------------------------------


def nifti(path, values, affine=None, **header):
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine)
    for name, value in header.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("axes", [(), (None,)])
def test_a_slice_of_nifti_is_turned_as_radiologists_look_at_it(tmp_path, ending, axes):
    values = np.arange(24.0).reshape(4, 6) * 100  # from left to right, from back to front
    path = nifti(tmp_path / f"a{ending}", values[(..., *axes)].astype(np.int16))
    np.testing.assert_allclose(grey(path), values[::-1, ::-1].T * 255 / 4095, atol=0.51)  # right on the left, front up
    assert size_of(path) == (4, 6)
    from_the_right = nifti(tmp_path / f"b{ending}", values[::-1][(..., *axes)].astype(np.int16), np.diag([-1.0, 1, 1, 1]))
    np.testing.assert_array_equal(grey(from_the_right), grey(path))


def test_scales_of_nifti(tmp_path):
    np.testing.assert_allclose(grey(nifti(tmp_path / "f.nii", RAMP.astype(np.float32))), RAMP[::-1, ::-1].T * 255, atol=0.51)
    hounsfield = (RAMP * 2000 - 1000).astype(np.int16)
    with pytest.raises(OSError, match=r"ct\.nii: its values begin at -1000"):
        load_img(nifti(tmp_path / "ct.nii", hounsfield))
    shown = nifti(tmp_path / "shown.nii", hounsfield, cal_min=-160, cal_max=240)
    np.testing.assert_allclose(grey(shown), np.clip((hounsfield[::-1, ::-1].T + 160) / 400, 0, 1) * 255, atol=0.51)


def test_volumes_and_damaged_nifti_are_refused_by_name(tmp_path):
    volume = nifti(tmp_path / "brain.nii.gz", np.zeros((8, 9, 5), np.int16))
    for read in (load_img, lambda path: check_images([path])):
        with pytest.raises(OSError, match=r"brain\.nii\.gz: it holds a volume of 8x9x5: save the slice"):
            read(volume)
    whole = nifti(tmp_path / "a.nii", np.random.default_rng(0).integers(0, 9999, (40, 40)).astype(np.int16)).read_bytes()
    (tmp_path / "cut.nii").write_bytes(whole[:-100])
    (tmp_path / "cut.nii.gz").write_bytes(gzip.compress(whole)[:-99])
    (tmp_path / "text.nii").write_text("no image")
    for name in ("cut.nii", "cut.nii.gz", "text.nii"):
        with pytest.raises(OSError, match=name):
            load_img(tmp_path / name)
    bomb = bytearray(whole)
    bomb[40:48] = struct.pack("<4h", 2, 32_000, 32_000, 1)
    (tmp_path / "bomb.nii").write_bytes(bomb)
    with pytest.raises(OSError, match=r"bomb\.nii: its header says it has the shape \(32000, 32000\)"):
        check_images([str(tmp_path / "bomb.nii")])
