"""Files to arrays, and augmentation: what happens to an example before the model sees it.

    class_folders.py     find the files of class folders, name all that are bad
    files.py             find, check, read and write image files
    decoding.py          the one reader of image formats
    dicom.py, nifti.py   the formats of hospitals
    depth.py             what becomes of more than 8 bits
    affine.py            the geometry of an augmentation as one matrix
    image.py             ImageDataGenerator: Keras's augmentation of images
    framing.py           images framed and exposed as another hospital would; batches that balance classes
    iterators.py         batches prepared ahead in threads, for images and for sounds
    image_iterators.py   batches of images, from an array or from class folders
    sound/               samples, features (log-mel, MFCC), augmentation of sounds, batches
    text/                tokenizers, vocabulary, padding

In flow paths of files, or arrays. Out flow arrays (N, H, W, C), (N, T, F) or ids (N, T), which `model.fit` takes.
"""
