"""How public medical sets name their files, and what the names say about patients: a table.

A row is found by its pattern alone, so that patterns are as narrow as the set's names are. Most sets say in their description
what the parts of a name mean; those whose names say nothing stand here, too, so that no number in them is taken for a patient.
"""

from __future__ import annotations

import re
from typing import NamedTuple

WHO = r"(?:patient|person|subject|subj|participant|volunteer|pat|sub)"


class Scheme(NamedTuple):
    """How a public set names its files: a pattern of the path without its ending, whose group is what `means` says."""

    name: str
    pattern: str
    means: str  # "patient", "slide", "study" or the like; "" where the names say nothing about patients
    example: str
    source: str


# In any case, from the beginning of the file's name without its ending, or of the whole path where the pattern has a "/".
SCHEMES = (
    # chest X-rays
    Scheme(
        "Kermany's chest X-rays", r"(person\d+)_(?:bacteria|virus)_\d+", "patient", "person1_bacteria_2.jpeg",
        "Kermany 2018, doi:10.17632/rscbjbr9sj.2; Kaggle chest-xray-pneumonia",
    ),
    Scheme(
        "Kermany's release on Mendeley", r"(?:BACTERIA|VIRUS|NORMAL|CNV|DME|DRUSEN)-(\d+)-\d+", "patient",
        "CNV-1016042-1.jpeg", "doi:10.17632/rscbjbr9sj.3: (disease)-(randomized patient ID)-(image number by this patient)",
    ),
    Scheme("NIH ChestX-ray14", r"(000[0-3]\d{4})_\d{3}(?!\d)", "patient", "00000013_005.png", "Wang 2017: patient, follow-up"),
    Scheme(
        "CheXpert", r"(?:.*/)?(patient\d{5})/study\d+/view\d", "patient", "patient00001/study1/view1_frontal.jpg", "Irvin 2019",
    ),
    Scheme(
        "MIMIC-CXR", r"(?:.*/)?p\d\d/(p\d{8})/s\d{8}/", "patient", "p10/p10000032/s50414267/02aa804e-bde0afdd.jpg",
        "physionet.org/content/mimic-cxr",
    ),
    Scheme("Shenzhen and Montgomery X-rays", r"((?:CHN|MCU)CXR_\d{4})_[01]", "patient", "CHNCXR_0001_0.png", "Jaeger 2014"),
    Scheme("JSRT", r"(JPC[LN]N\d{3})$", "patient", "JPCLN001.png", "Shiraishi 2000: an image for each patient"),
    Scheme("Indiana's chest X-rays", r"(CXR\d+)_\d*_?IM-\d{4}", "patient", "CXR1_1_IM-0001-3001.png", "Demner-Fushman 2016"),
    Scheme("Kermany's normal X-rays", r"(?:.*[-_])?(IM-\d{4})-\d{4}", "patient", "NORMAL2-IM-0501-0001.jpeg", "as the first"),
    Scheme(
        "PadChest", r"(\d{30,})_\d\d-\d{3}-\d{3}$", "study", "216840111366964012339356563862009041122518051_00-062-040.png",
        "Bustos 2020: patients stand in its table",
    ),
    Scheme(
        "COVID-19 Radiography", r"(?:COVID|Normal|Lung_Opacity|Viral Pneumonia)-\d+$", "", "COVID-12.png",
        "Chowdhury 2020: image numbers",
    ),
    # CT
    Scheme("COVID-CTset", r"(?:.*_)?(\d+covid_patient\d+|normal\d+_patient\d+)_", "patient", "137covid_patient1_SR_2_IM00001.tif",
           "Rahimzadeh 2021"),
    Scheme("COVID-CT", r"(.+)-p\d+-\d+", "paper", "2020.01.24.919183-p27-132.png", "UCSD-AI4H: paper, page, image"),
    Scheme("SARS-CoV-2 CT scans", r"(?:Non-)?Covid ?\(\d+\)$", "", "Covid (12).png", "Soares 2020: image numbers"),
    Scheme("LIDC-IDRI", r"(?:.*/)?(LIDC-IDRI-\d{4})", "patient", "LIDC-IDRI-0001_slice3.png", "Armato 2011"),
    # eyes
    Scheme("EyePACS, ODIR", r"(\d+)_(?:left|right)", "patient", "10_left.jpeg", "kaggle.com/c/diabetic-retinopathy-detection"),
    Scheme("Messidor", r"\d{8}_\d{5}_\d{4}_PP", "", "20051019_38557_0100_PP.tif", "Decenciere 2014: dates and image numbers"),
    Scheme("DRIVE", r"(\d\d)_(?:training|test)$", "patient", "21_training.tif", "Staal 2004"),
    Scheme("APTOS 2019", r"[0-9a-f]{12}$", "", "000c1434d8d7.png", "kaggle.com/c/aptos2019-blindness-detection: random names"),
    # skin
    Scheme("ISIC, HAM10000", r"(ISIC_\d{7})", "image", "ISIC_0027419.jpg", "Tschandl 2018: lesion_id stands in its table"),
    Scheme("PAD-UFES-20", r"(PAT_\d+)_\d+_\d+", "patient", "PAT_1516_1765_530.png", "Pacheco 2020: patient, lesion, image"),
    # microscopy
    Scheme(
        "BreakHis", r"(SOB_[BM]_[A-Z]+[-_]\d+-\d+[A-Z]*)-\d+-\d+", "patient", "SOB_B_A-14-22549AB-40-001.png",
        "Spanhol 2016: a slide for each patient",
    ),
    Scheme("IDC patches", r"(\d+_idx\d+)_x\d+_y\d+_class[01]", "patient", "8863_idx5_x51_y1251_class0.png", "Janowczyk 2016"),
    Scheme(
        "Kather's tiles", r"[0-9A-F]+_(CRC-Prim-HE-\d+)_\d+\.tif_Row", "slide",
        "10009_CRC-Prim-HE-03_009.tif_Row_301_Col_151.tif", "Kather 2016, doi:10.5281/zenodo.53169",
    ),
    Scheme("NCT-CRC-HE-100K", r"(?:ADI|BACK|DEB|LYM|MUC|MUS|NORM|STR|TUM)-[A-Z]{8}$", "", "ADI-AAAFLCLY.tif", "Kather 2019"),
    Scheme("PatchCamelyon", r"[0-9a-f]{40}$", "", "00001b2b5609af42ab0ab276dd4cd41c3e7745b5.tif", "Veeling 2018: random names"),
    Scheme(
        "LC25000", r"(?:lungn|lungaca|lungscc|colonn|colonca)\d+$", "", "lungaca12.jpeg",
        "Borkowski 2019: 25,000 changed copies of 1,250 images",
    ),
    Scheme("TCGA", r"(?:.*/)?(TCGA-\w\w-\w{4})", "patient", "TCGA-02-0001-01Z-00-DX1.png", "docs.gdc.cancer.gov: TCGA barcode"),
    Scheme("NIH malaria cells", r"(C\d+(?:P\d+)?)_?thin", "patient", "C33P1thinF_IMG_20150619_114756a_cell_179.png",
           "Rajaraman 2018"),
    Scheme("C-NMC 2019", r"UID_(H?\d+)_\d+_\d+_(?:all|hem)", "patient", "UID_11_1_1_all.bmp", "Gupta 2019: subject, image, cell"),
    # breast
    Scheme(
        "CBIS-DDSM", r"(?:.*/)?(?:Mass|Calc)-(?:Training|Test)_(P_\d{5})_", "patient", "Mass-Training_P_00001_LEFT_CC.png",
        "Lee 2017",
    ),
    Scheme("INbreast", r"\d{8}_([0-9a-f]{16})_MG_[LR]_", "patient", "20586908_6c613a14b80a8591_MG_R_CC_ANON.png", "Moreira 2012"),
    Scheme("MIAS", r"mdb(\d{3})", "pair", "mdb001.pgm", "Suckling 1994: 2n - 1 and 2n are the breasts of a patient"),
    Scheme("BUSI", r"(?:benign|malignant|normal) \(\d+\)$", "", "benign (12).png", "Al-Dhabyani 2020: image numbers"),
    # brain
    Scheme("OASIS", r"(?:.*/)?(OAS\d_?\d{4,5})_", "patient", "OAS1_0001_MR1_mpr-1_102.jpg", "Marcus 2007"),
    Scheme("ADNI", r"(?:.*/)?(?:ADNI_)?(\d{3}_S_\d{4})", "patient", "ADNI_002_S_0295_MR_MP-RAGE.png", "adni.loni.usc.edu"),
    Scheme("BraTS", r"(?:.*/)?(BraTS(?:\d\d|-[A-Z]+)[-_](?:\w+?[-_])?\d{3,5})", "patient", "BraTS20_Training_001_flair.png",
           "Bakas 2017"),
    Scheme("Br35H", r"(?:y|no|pred)\d+$", "", "y123.jpg", "Hamada 2020: image numbers"),
    Scheme("Kaggle's brain tumours", r"T[er]-(?:gl|me|no|pi)(?:Tr)?_\d{4}$", "", "Tr-gl_0010.jpg", "Nickparvar 2021: numbers"),
    # sounds
    Scheme("ICBHI lung sounds", r"(\d{3})_\d+[a-z]\d+_[A-Z][a-z]_(?:sc|mc)_\w+", "patient", "101_1b1_Al_sc_Meditron.wav",
           "bhichallenge.med.auth.gr: patient number, recording index, chest location, mode, equipment"),
    Scheme("KAUH lung sounds", r"[BDE]P(\d+)_", "patient", "BP1_Asthma,I E W,P L L,70,M.wav",
           "Fraiwan 2021: B, D and E are filters of one recording"),
    Scheme("SPRSound", r"(\d{8})_\d+\.\d_[01]_p\d_\d+", "patient", "40996303_10.5_1_p2_2417.wav", "Zhang 2022"),
    Scheme("CirCor heart sounds", r"(\d{5}|\d{4})_(?:AV|PV|TV|MV|Phc)(?:_\d+)?$", "patient", "2530_AV.wav",
           "physionet.org/content/circor-heart-sound"),
    Scheme("PhysioNet 2016 heart sounds", r"[a-f]\d{4}$", "", "a0001.wav", "Liu 2016: recordings; patients are not known"),
    Scheme("PASCAL heart sounds, B", r"(?:[a-z]+_+)*(\d{3})_\d{13}_[A-E]\d?$", "patient", "normal__103_1305031931979_B.wav",
           "Bentley 2011: subject, time, place"),
    Scheme("PASCAL heart sounds, A", r"(?:[a-z]+_+)?20\d{10}$", "", "murmur__201101051104.wav", "Bentley 2011: dates"),
    # anything
    Scheme("BIDS", r"(?:.*/)?(sub-[A-Za-z0-9]+)_", "patient", "sub-01_ses-02_T1w.png", "bids-specification.readthedocs.io"),
    Scheme("Roboflow", r"(.+)_(?:jpe?g|png|bmp|tiff?)\.rf\.[0-9a-f]{16,}", "original", "scan_jpg.rf.0123456789abcdef.jpg",
           "docs.roboflow.com: changed copies of one image"),
    Scheme("patients by name", rf"(?:.*[-_ ])?({WHO}[-_ ]?\d+)(?!\d)", "patient", "patient00012_study1.png", "said by the word"),
)  # fmt: skip

# Sets of several sites whose names tell the site: the group is the site, "means" says so.
SITES = (
    Scheme("PhysioNet 2016 heart sounds", r"([a-f])\d{4}", "site", "a0001.wav", "Liu 2016: the databases training-a to -f"),
)

COMPILED = [re.compile(scheme.pattern, re.IGNORECASE) for scheme in SCHEMES]
